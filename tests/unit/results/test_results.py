"""result.json and samples.jsonl.gz: what is written, what is refused, and that equal samples make equal bytes."""

import gzip
import json
import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from builders import make_config, make_deployment, make_metric, make_outcome, make_task
from snakeval import __version__
from snakeval.endpoint import Protocol
from snakeval.errors import HarnessError
from snakeval.harnesses.base import Metric
from snakeval.results.result import Result, SampleCounts, build_result, decode_result, read_result
from snakeval.results.samples import Sample, read_samples, write_samples
from snakeval.run.record import Damage

Change = Callable[[dict[str, Any]], Any]


def a_result() -> Result:
    task = make_task(protocol=Protocol.COMPLETIONS, limit=4, repeats=2, command=["secret"], seed=7, temperature=None)
    return build_result(make_config(), make_deployment(), task, make_outcome(), 0.0, 2.5, attempt=2)


def test_the_whole_content() -> None:
    assert a_result().as_json() == {
        "schema_version": 1,
        "run": "demo",
        "deployment": "tiny",
        "served_model_name": "tiny-model",
        "deployment_type": "generic",
        "task": "sums",
        "harness": "command",
        "harness_task": "sums",
        "protocol": "completions",
        "limit": 4,
        "repeats": 2,
        "metrics": [
            {
                "name": "exact_match",
                "filter": "none",
                "subtask": None,
                "value": 0.75,
                "stderr": 0.25,
                "n": 4,
                "higher_is_better": True,
                "ci_low": None,
                "ci_high": None,
                "ci_method": None,
            }
        ],
        "samples": {"asked": 4, "answered": 4, "failed": 0},
        "tokens": {"prompt": 100, "completion": 20},
        "requests": {"sent": 4, "resumed": 0, "retried": 1},
        "times": {
            "started_at": "1970-01-01T00:00:00.000+00:00",
            "ended_at": "1970-01-01T00:00:02.500+00:00",
            "duration_s": 2.5,
            "attempt": 2,
        },
        "fingerprint": {
            "deployment": "fingerprint-of-tiny",
            "task": "fingerprint-of-sums",
            "components": {"deployment": {}, "task": {}},
        },
        "versions": {"snakeval": __version__, "harness": "1.2"},
        "settings": {"seed": 7},
    }


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    assert read_result(path) is None
    a_result().write(path)
    assert read_result(path) == a_result()
    assert [one.name for one in tmp_path.iterdir()] == ["result.json"]


BAD: dict[str, tuple[Change, str]] = {
    "no metric": (lambda r: r["metrics"].clear(), r"result of sums is malformed at \$.metrics: \[\] "),
    "no run": (lambda r: r.pop("run"), r"malformed at \$: 'run' is a required property"),
    "unknown key": (lambda r: r.update(extra=1), r"malformed at \$: Additional properties .*'extra'"),
    "text for a number": (lambda r: r["metrics"][0].update(value="1"), r"malformed at \$.metrics\[0\].value: '1'"),
    "negative stderr": (lambda r: r["metrics"][0].update(stderr=-0.1), r"malformed at \$.metrics\[0\].stderr: -0.1"),
    "no sample": (lambda r: r["samples"].update(asked=0, answered=0), r"malformed at \$.samples.asked: 0"),
    "nan": (lambda r: r["metrics"][0].update(value=math.nan), "value of metric exact_match is nan, which is no score"),
    "infinity": (lambda r: r["metrics"][0].update(value=-math.inf), "value of metric exact_match is -inf"),
    "nan stderr": (lambda r: r["metrics"][0].update(stderr=math.nan), "stderr of metric exact_match is nan"),
    "unanswered": (lambda r: r["samples"].update(answered=3), r"1 of 4 samples got no answer \(0 failed\)"),
    "failed": (lambda r: r["samples"].update(failed=2), r"0 of 4 samples got no answer \(2 failed\)"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_result_is_neither_written_nor_read(name: str, tmp_path: Path) -> None:
    change, message = BAD[name]
    content, path = json.loads(json.dumps(a_result().as_json())), tmp_path / "result.json"
    change(content)
    with pytest.raises(HarnessError, match=message):
        decode_result(content)
    if "run" in content and "extra" not in content:
        with pytest.raises(HarnessError, match=message):
            _unchecked(content).write(path)
    assert list(tmp_path.iterdir()) == []
    path.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(HarnessError, match=message):
        read_result(path)
    told: list[Damage] = []
    assert Result.read(path, told.append) is None
    assert [one.path for one in told] == [path]


@pytest.mark.parametrize(("time", "message"), [("soon", "'soon'"), ("2026-01-01T00:00", "time zone")])
def test_a_time_that_is_none_is_told(time: str, message: str, tmp_path: Path) -> None:
    path, content = tmp_path / "result.json", dict(a_result().as_json())
    content["times"] |= {"ended_at": time}
    path.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(HarnessError, match=rf"result of sums is malformed: .*{message}.* - at `\$.times`"):
        read_result(path)


def _unchecked(content: dict[str, Any]) -> Result:
    """Return the good result with the metrics and counts of a bad one: a program can put anything into them."""
    metrics = tuple(Metric(**metric) for metric in content["metrics"])
    return replace(a_result(), metrics=metrics, samples=SampleCounts(**content["samples"]))


@pytest.mark.parametrize(
    ("text", "message"), [("", "is not JSON"), ('{"run": ', "is not JSON"), ("{}", "result of None is malformed")]
)
def test_a_broken_file_is_named(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(HarnessError, match=message):
        read_result(path)


@pytest.mark.parametrize("text", ["[]", "3", "null", '"text"'])
def test_another_json_value_is_malformed(text: str, tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(HarnessError, match="is not a JSON object"):
        read_result(path)


def test_equal_samples_make_equal_bytes(tmp_path: Path) -> None:
    samples: list[dict[str, Any]] = [{"question": "2 + 2", "answer": "vier, 四"}, {"question": "", "answer": None}]
    first, second = tmp_path / "samples.jsonl.gz", tmp_path / "other.gz"
    assert write_samples(first, iter(samples)) == 2
    assert write_samples(second, iter(samples)) == 2
    assert first.read_bytes() == second.read_bytes()
    # The header's flags and time: no name, no time.
    assert first.read_bytes()[3:8] == bytes(5)
    lines = gzip.decompress(first.read_bytes()).decode().splitlines()
    assert [json.loads(line) for line in lines] == samples
    assert first.stat().st_mode & 0o777 == 0o644
    write_samples(second, iter(samples[:1]))
    assert first.read_bytes() != second.read_bytes()


def test_half_a_surrogate_pair_is_kept(tmp_path: Path) -> None:
    """JSON can say it, so a model can answer with it, and UTF-8 has no bytes for it."""
    samples: list[dict[str, Any]] = [{"answer": "\ud83d four, 四"}, {"answer": "\udca9"}]
    assert write_samples(tmp_path / "samples.jsonl.gz", iter(samples)) == 2
    assert list(read_samples(tmp_path / "samples.jsonl.gz")) == [Sample.of(one) for one in samples]


def test_samples_that_break_off_leave_nothing(tmp_path: Path) -> None:
    def broken() -> Iterator[dict[str, Any]]:
        yield {"answer": 1}
        raise HarnessError("line 2 is not JSON")

    with pytest.raises(HarnessError, match="line 2"):
        write_samples(tmp_path / "samples.jsonl.gz", broken())
    assert list(tmp_path.iterdir()) == []


def test_several_metrics_keep_their_order(tmp_path: Path) -> None:
    metrics = (make_metric("acc", subtask="b"), make_metric("acc", subtask="a"), make_metric("f1", stderr=None))
    result = build_result(make_config(), make_deployment(), make_task(), make_outcome(*metrics), 0.0, 1.0, 1)
    result.write(tmp_path / "result.json")
    assert read_result(tmp_path / "result.json") == result
    assert [(one.name, one.subtask) for one in result.metrics] == [("acc", "b"), ("acc", "a"), ("f1", None)]
