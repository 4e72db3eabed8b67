"""What jobs read and when they are planned again: the functions of the rules, without Snakemake."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
from builders import Job, make_config, make_deployment, make_task
from snakeval.config.model import Comparison, Config, Export
from snakeval.config.reading.tree import Node
from snakeval.run.paths import RunPaths
from snakeval.system.environments import CACHE_VARIABLE
from snakeval.workflow.inputs import Inputs, any_of


def _comparison(baseline_results: Path | None = None, gate: Path | None = None) -> Comparison:
    return Comparison("new_vs_old", "new", "old", baseline_results, (), 0.05, gate)


@pytest.fixture
def config(tmp_path: Path) -> Config:
    """Two deployments, a judge, a task that uses the judge and one that does not."""
    plain = make_config(
        tmp_path,
        deployments=[make_deployment("new"), make_deployment("old")],
        tasks=[make_task("sums"), replace(make_task("essays"), auxiliaries=("judge",))],
    )
    return replace(
        plain,
        auxiliaries=(make_deployment("judge"),),
        comparisons=(_comparison(gate=Path("strict.yaml")),),
        exports=(Export("csv", Node({})), Export("parquet", Node({}))),
    )


@pytest.fixture
def inputs(config: Config) -> Inputs:
    return Inputs(config)


@pytest.fixture
def run(config: Config) -> RunPaths:
    return RunPaths(config.folder)


def test_everything_of_a_run_is_named(inputs: Inputs, run: RunPaths) -> None:
    pairs = [("new", "sums"), ("new", "essays"), ("old", "sums"), ("old", "essays")]
    assert inputs.all_results() == [run.task(*pair).result for pair in pairs]
    assert inputs.all_samples() == [run.task(*pair).samples for pair in pairs]
    assert inputs.all_teardowns() == [run.server(name).teardown for name in ("new", "old", "judge")]
    assert inputs.comparison_files() == [run.root / "compare" / "new_vs_old.json"]
    assert inputs.all_comparisons() == [run.root / "compare" / f"new_vs_old.{form}" for form in ("json", "passed")]
    assert inputs.all_exports() == [run.root / "exports" / format / "record.json" for format in ("csv", "parquet")]


def test_a_deployment_is_there_for_its_own_tasks(inputs: Inputs, run: RunPaths) -> None:
    assert inputs.results_of(Job("old")) == [run.task("old", task).result for task in ("sums", "essays")]


def test_a_judge_is_there_for_the_tasks_that_use_it(inputs: Inputs, run: RunPaths) -> None:
    assert inputs.results_of(Job("judge")) == [run.task(name, "essays").result for name in ("new", "old")]


def test_only_a_task_that_uses_a_judge_has_a_lease_on_it(inputs: Inputs, run: RunPaths) -> None:
    assert inputs.auxiliary_leases(Job("new", "sums")) == []
    assert inputs.auxiliary_leases(Job("new", "essays")) == [run.auxiliary("judge", "new", "essays").lease]


def test_fingerprints_are_those_of_deployment_and_task(inputs: Inputs) -> None:
    assert inputs.deployment_fingerprint(Job("judge")) == "fingerprint-of-judge"
    assert inputs.task_fingerprint(Job("new", "essays")) == "fingerprint-of-essays"


def test_a_comparison_reads_both_sides(inputs: Inputs, run: RunPaths) -> None:
    files = inputs.compared_files(Job(comparison="new_vs_old"))
    tasks = [run.task(name, task) for name in ("new", "old") for task in ("sums", "essays")]
    assert files == [file for task in tasks for file in (task.result, task.samples)]


def test_of_an_earlier_run_a_comparison_reads_what_exists(config: Config, run: RunPaths, tmp_path: Path) -> None:
    earlier = tmp_path / "earlier"
    for name in ("b/result.json", "b/samples.jsonl.gz", "a/result.json", "c/samples.jsonl.gz"):
        file = earlier / "old" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    inputs = Inputs(replace(config, comparisons=(_comparison(baseline_results=earlier),)))
    files = inputs.compared_files(Job(comparison="new_vs_old"))
    tasks = [run.task("new", task) for task in ("sums", "essays")]
    assert files == [file for task in tasks for file in (task.result, task.samples)] + [
        earlier / "old" / name for name in ("a/result.json", "b/result.json", "b/samples.jsonl.gz")
    ]


def test_a_comparison_with_a_gate_reads_its_policy(config: Config, inputs: Inputs) -> None:
    assert inputs.comparison_policy(Job(comparison="new_vs_old")) == [Path("strict.yaml")]
    without = Inputs(replace(config, comparisons=(_comparison(),)))
    assert without.comparison_policy(Job(comparison="new_vs_old")) == []


def test_settings_of_comparisons_and_exports_plan_them_again(config: Config, inputs: Inputs) -> None:
    job = Job(comparison="new_vs_old", format="csv")
    stricter = replace(
        config,
        comparisons=(replace(config.comparisons[0], alpha=0.01),),
        exports=(Export("csv", Node({"project": "other"})),),
    )
    same, changed = Inputs(replace(config)), Inputs(stricter)
    assert inputs.comparison_settings(job) == same.comparison_settings(job) != changed.comparison_settings(job)
    assert inputs.export_settings(job) == same.export_settings(job) != changed.export_settings(job)


def test_a_comparison_that_is_older_than_a_result_is_not_current(inputs: Inputs, run: RunPaths) -> None:
    assert inputs.current_comparisons() == []
    for file in inputs.compared_files(Job(comparison="new_vs_old")):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    comparison = run.comparison("new_vs_old", "json")
    comparison.parent.mkdir(parents=True)
    comparison.touch()
    assert inputs.current_comparisons() == ["new_vs_old"]
    run.task("old", "sums").result.unlink()
    assert inputs.current_comparisons() == []


def _families(inputs: Inputs) -> set[str]:
    """Return the tool families of the environments that are to be built."""
    return {marker.parent.name.rpartition("-")[0] for marker in inputs.missing_environments()}


def test_environments_are_those_of_what_is_to_be_done(
    config: Config, run: RunPaths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "environments"))
    deployments = (make_deployment("new", "llamacpp"), make_deployment("old"))
    inputs = Inputs(replace(config, deployments=deployments, tasks=(make_task("gsm8k", harness="lm-eval"),)))
    assert _families(inputs) == {"llamacpp", "lm-eval", "export-parquet"}

    result = run.task("new", "gsm8k").result
    result.parent.mkdir(parents=True)
    result.touch()
    assert _families(inputs) == {"lm-eval", "export-parquet"}, "its server has nothing to do any more"

    record = run.export_record("parquet")
    record.parent.mkdir(parents=True)
    record.touch()
    (marker,) = inputs.missing_environments()
    marker.parent.mkdir(parents=True)
    marker.touch()
    assert inputs.missing_environments() == []


def test_environments_of_judges_are_needed_as_long_as_their_tasks_are(
    config: Config, run: RunPaths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "environments"))
    inputs = Inputs(replace(config, auxiliaries=(make_deployment("judge", "llamacpp"),), exports=()))
    assert _families(inputs) == {"llamacpp"}
    for name in ("new", "old"):
        result = run.task(name, "essays").result
        result.parent.mkdir(parents=True)
        result.touch()
    assert _families(inputs) == set()


@pytest.mark.parametrize(("name", "matches"), [("a.b", True), ("axb", False), ("c", True), ("a.bc", False)])
def test_names_are_matched_word_by_word(name: str, matches: bool) -> None:
    assert bool(re.fullmatch(any_of(["a.b", "c"]), name)) is matches
