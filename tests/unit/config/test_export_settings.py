"""Exports apart from files: what trackers get, what a configuration asks for, what is said at the end."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from builders import make_metric
from config_workflow import BASE, make_workflow
from export_bench import MLFLOW, WANDB, export, make_run
from snakeval.config.model import Config, Export
from snakeval.config.reading.tree import Node
from snakeval.errors import ExportError
from snakeval.results.exports.record import export_line
from snakeval.results.exports.trackers import completed, entry, metric_values, without_login
from snakeval.results.measured import collect, scored
from snakeval.results.result import Fingerprint
from snakeval.run.paths import RunPaths
from snakeval.system.checkout import ROOT


@pytest.fixture
def run(tmp_path: Path) -> Config:
    return make_run(tmp_path)


def _paths(config: Config) -> RunPaths:
    return RunPaths(config.folder)


def test_the_end_of_a_run_says_where_exports_are(run: Config) -> None:
    paths = _paths(run)
    results = [paths.task("a", "sums").result]
    assert export_line(paths, "csv", results) == "  csv       not made, results are missing"
    export(run, "csv")
    assert export_line(paths, "csv", results).startswith(f"  csv       {paths.export('csv')}/results.csv")
    paths.export_record("csv").unlink()
    assert export_line(paths, "csv", results) == f"  csv       failed, log: {paths.export('csv')}/log.txt"


def test_trackers_get_names_that_they_allow(run: Config) -> None:
    one = scored(collect(run))[0]
    metrics = (
        make_metric("pass@1", 0.5, stderr=0.1),
        make_metric("pass_1", 0.25, filter=None, stderr=None),
        make_metric("acc", 1, filter="strict", subtask="hard", stderr=None, ci_low=0.9, ci_high=1.0, n=2),
    )
    assert metric_values("sums", replace(one.result, metrics=metrics)) == {
        "sums/pass_1": 0.5,
        "sums/pass_1_stderr": 0.1,
        "sums/pass_1_n": 4.0,
        "sums/pass_1.2": 0.25,
        "sums/pass_1.2_n": 4.0,
        "sums/hard/acc/strict": 1.0,
        "sums/hard/acc/strict_ci_low": 0.9,
        "sums/hard/acc/strict_ci_high": 1.0,
        "sums/hard/acc/strict_n": 2.0,
        "sums/duration_s": 60.5,
        "sums/prompt_tokens": 100.0,
        "sums/completion_tokens": 20.0,
    }


def test_a_result_keeps_its_identity_until_what_it_measures_changes(run: Config) -> None:
    first, *others = collect(run)
    assert collect(run)[0].fingerprint == first.fingerprint
    assert len({one.fingerprint for one in (first, *others)}) == len(others) + 1
    assert replace(first, run="other").fingerprint != first.fingerprint
    assert first.result is not None
    other = replace(first.result, fingerprint=Fingerprint("x", "y"))
    assert replace(first, result=other).fingerprint != first.fingerprint


def test_entries_of_trackers(run: Config) -> None:
    one = scored(collect(run))[0]
    settings = completed(
        Export("mlflow", Node({**MLFLOW, "description": "d", "tags": {"team": "t"}})),
        "demo",
        {"MLFLOW_TRACKING_URI": "http://h"},
    )
    made = entry(one, settings)
    assert made.name == "demo/a/sums"
    assert made.tags["snakeval.fingerprint"] == one.fingerprint
    assert (made.tags["mlflow.note.content"], made.tags["team"]) == ("d", "t")
    assert made.params["limit"] == "4"
    assert all(isinstance(value, str) for value in made.params.values())
    assert len(made.artifacts) == 2
    own = completed(Export("wandb", Node({**WANDB, "copy_artifacts": False})), "demo", {})
    assert entry(one, own).artifacts == []
    assert entry(one, own).params["limit"] == 4


def test_the_login_of_an_address_goes_another_way() -> None:
    assert without_login("http://h:1/x") == ("http://h:1/x", {})
    assert without_login("https://me:a%40b@h:1/x") == (
        "https://h:1/x",
        {"MLFLOW_TRACKING_USERNAME": "me", "MLFLOW_TRACKING_PASSWORD": "a@b"},
    )


def test_an_exporter_that_ends_without_an_outcome_is_an_error(run: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("snakeval.results.exports.runner.ensure_environment", lambda lock: Path("/bin/false"))
    with pytest.raises(ExportError, match="the exporter ended with exit status 1"):
        export(run, "parquet")
    assert not _paths(run).export_record("parquet").exists()


def test_the_workflow_loads_nothing_heavy_for_exports() -> None:
    program = "import sys; import snakeval.results.exports, snakeval.config; print(*sys.modules)"
    environ: dict[str, Any] = {"PYTHONPATH": str(ROOT / "scripts"), "PATH": ""}
    done = subprocess.run([sys.executable, "-c", program], env=environ, capture_output=True, text=True, check=True)
    assert not {"pandas", "pyarrow", "mlflow", "wandb", "tabulate", "jsonschema"} & set(done.stdout.split())


def test_exports_of_a_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    workflow = make_workflow(tmp_path)
    text = BASE + "export: {formats: [csv, csv, lm-eval], wandb: {mode: offline}}\n"
    config = workflow.load(text)
    assert [one.format for one in config.exports] == ["csv", "lm-eval", "wandb"]
    assert dict(config.exports[2].settings) == WANDB
    again = workflow.load(yaml.safe_dump(json.loads(json.dumps(config.resolved))))
    assert again.exports == config.exports
    assert workflow.load(text, overrides={"export.formats": ["json"]}).exports[0].format == "json"
    assert workflow.load(BASE).exports == ()
