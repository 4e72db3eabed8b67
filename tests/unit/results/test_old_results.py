"""Results of version 0.1 are read and rendered as it rendered them; what is damaged or newer is named, and no more."""

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from report_runs import comparison
from snakeval.config import load_config
from snakeval.errors import HarnessError
from snakeval.results.compare.record import ComparisonRecord
from snakeval.results.exports.record import ExportRecord
from snakeval.results.result import Result, read_result
from snakeval.results.samples import read_samples
from snakeval.results.summary import summarize, write_summary
from snakeval.run.record import Damage
from snakeval.system.checkout import ROOT

FIXTURES = ROOT / "tests" / "fixtures" / "results-0.1"
OLD = sorted(FIXTURES.glob("*/*/*/result.json"))
DAMAGE: dict[str, bytes] = {
    "empty": b"",
    "cut short": b'{"run": "de',
    "no UTF-8": b"\xff\xfe",
    "a list": b"[]",
    "another object": b'{"run": 3}',
    "lists in lists": b"[" * 100_000,
}


def test_there_are_old_results() -> None:
    assert len(OLD) >= 3


@pytest.mark.parametrize("path", OLD, ids=lambda path: path.parent.name)
def test_a_result_of_version_0_1_is_read_whole(path: Path) -> None:
    result = read_result(path)
    assert result is not None
    assert result.as_json() == json.loads(path.read_text(encoding="utf-8"))
    assert result.versions["snakeval"] == "0.1.0"
    samples = list(read_samples(path.with_name("samples.jsonl.gz")))
    assert len(samples) == result.samples.asked * result.repeats
    assert all(sample.metrics and sample.id is not None and sample.answer for sample in samples)


def test_what_is_written_again_is_the_same_file(tmp_path: Path) -> None:
    for path in OLD:
        result = read_result(path)
        assert result is not None
        result.write(tmp_path / "result.json")
        assert (tmp_path / "result.json").read_bytes() == path.read_bytes()


def test_tables_are_those_of_version_0_1(tmp_path: Path) -> None:
    shutil.copytree(FIXTURES / "demo", tmp_path / "demo")
    overrides = {"execution.output_dir": str(tmp_path)}
    config = load_config([FIXTURES / "demo.yaml"], overrides, ROOT, os.environ, check_environ=False)
    write_summary(config, summarize(config))
    for name in ("summary.csv", "summary.json", "summary.md"):
        assert (tmp_path / "demo" / name).read_bytes() == (FIXTURES / "demo" / name).read_bytes()


@pytest.mark.parametrize("content", DAMAGE.values(), ids=DAMAGE)
@pytest.mark.parametrize("record", [Result, ComparisonRecord, ExportRecord])
def test_damage_is_told_and_counts_as_missing(
    record: type[Result | ComparisonRecord | ExportRecord], content: bytes, tmp_path: Path
) -> None:
    path, told = tmp_path / "file.json", list[Damage]()
    assert record.read(path, told.append) is None
    assert told == []
    path.write_bytes(content)
    assert record.read(path, told.append) is None
    assert [one.path for one in told] == [path]
    assert str(told[0]).startswith(f"{path} cannot be used and counts as missing: ")
    with pytest.raises(HarnessError, match=f"^{path}: "):
        read_result(path)


@pytest.mark.parametrize(
    "change", [lambda _: None, lambda content: content.update(curve=[]), lambda content: content.pop("samples")]
)
def test_a_result_of_a_newer_version_is_refused_by_name(
    change: Callable[[dict[str, Any]], Any], tmp_path: Path
) -> None:
    content = json.loads(OLD[0].read_text(encoding="utf-8")) | {"schema_version": 2}
    content["versions"]["snakeval"] = "9.1.0"
    change(content)
    path = tmp_path / "result.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(HarnessError, match=r"Snakeval 9\.1\.0 wrote it in form 2, and this is Snakeval .* up to 1$"):
        read_result(path)


def test_a_comparison_of_a_newer_version_is_read_as_far_as_it_is_understood(tmp_path: Path) -> None:
    path, told = tmp_path / "comparison.json", list[Damage]()
    newer = comparison() | {"schema_version": 2, "snakeval_version": "9.1.0"}
    path.write_text(json.dumps(newer | {"curve": []}), encoding="utf-8")
    found = ComparisonRecord.read(path, told.append)
    assert found is not None
    assert (found.name, told) == ("beta-vs-alpha", [])
    path.write_text(json.dumps({name: value for name, value in newer.items() if name != "tasks"}), encoding="utf-8")
    assert ComparisonRecord.read(path, told.append) is None
    assert "Snakeval 9.1.0 wrote it in form 2" in told[0].why


def test_the_first_results_had_no_components(tmp_path: Path) -> None:
    content = json.loads(OLD[0].read_text(encoding="utf-8"))
    del content["fingerprint"]["components"]
    path = tmp_path / "result.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    result = read_result(path)
    assert result is not None
    assert result.as_json() == content
    assert replace(result, run="other").fingerprint == result.fingerprint
