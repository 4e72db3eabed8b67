"""`snakeval plan`: from earlier results to intervals, and nothing out of thin air."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from builders import make_config, make_deployment, make_outcome, make_task
from hypothesis import given
from hypothesis import strategies as st
from snakeval.commands.plan.document import plan_document
from snakeval.commands.plan.estimate import TIME_SPREAD, Basis, Interval, plan_deployment, plan_task, wall_of_run
from snakeval.commands.plan.pending import parse_summary, pending_tasks
from snakeval.commands.plan.table import plan_table
from snakeval.commands.plan.timings import Timing, concurrency, read_load_times, read_timings
from snakeval.config.model import Config, Deployment, Task
from snakeval.config.reading.tree import Node
from snakeval.deployments.gpus import gpus_of
from snakeval.errors import SnakevalError
from snakeval.results.result import build_result
from snakeval.run.deployment import ServedDeployment
from snakeval.run.paths import RunPaths
from snakeval.run.server import ServerRecord, ServerState
from snakeval.system.checkout import ROOT
from snakeval.system.files import write_json

SCHEMA = yaml.safe_load((ROOT / "schemas" / "plan.schema.yaml").read_text(encoding="utf-8"))
TIMING = Timing(
    place=Path("results/first/tiny"),
    deployment="fingerprint-of-tiny",
    task="fingerprint-of-sums",
    kind=("command", "sums", "chat"),
    limit=10,
    repeats=1,
    samples=10,
    requests=10,
    prompt_tokens=1000,
    completion_tokens=200,
    begin=100.0,
    end=120.0,
    duration_s=20.0,
)


def _write(root: Path, deployment: Deployment, task: Task, seconds: float, start: float = 0.0, **requests: Any) -> None:
    config = make_config(root, [deployment], [task])
    result = build_result(config, deployment, task, make_outcome(), start, start + seconds, 1)
    result = replace(result, requests=replace(result.requests, **requests))
    result.write(root / "first" / deployment.name / task.name / "result.json")


def test_timings_are_read_from_results(tmp_path: Path) -> None:
    assert read_timings(tmp_path) == []
    _write(tmp_path, make_deployment(), make_task("whole"), 8.0, 1000.0)
    _write(tmp_path, make_deployment(), make_task("resumed"), 8.0, sent=1, resumed=3)
    _write(tmp_path, make_deployment(), make_task("nothing_sent"), 8.0, sent=0, resumed=4)
    write_json(tmp_path / "first" / "tiny" / "odd" / "result.json", {"schema_version": 9})
    resumed, whole = read_timings(tmp_path)
    assert (whole.duration_s, whole.begin, whole.end, whole.requests) == (8.0, 1000.0, 1008.0, 4)
    assert (whole.samples, whole.prompt_tokens, whole.completion_tokens) == (4, 100, 20)
    assert (resumed.duration_s, resumed.requests) == (32.0, 4), "an eighth of it was sent by this attempt"


def test_load_times_are_those_of_first_starts(tmp_path: Path) -> None:
    for name, restarts in (("a", 0), ("b", 2)):
        files = RunPaths(tmp_path / "first").server(name)
        ServedDeployment(name, "generic", "model", {}, fingerprint=name).write(files.deployment)
        record = ServerRecord(ServerState.READY, "0123456789abcdef", started_at=10.0, ready_at=40.0, restarts=restarts)
        record.write(files.state)
    ServerRecord(ServerState.STARTING, "0123456789abcdef", started_at=10.0).write(
        RunPaths(tmp_path / "first").server("c").state
    )
    assert read_load_times(tmp_path) == {"a": [30.0]}


def test_how_many_tasks_ran_at_a_time() -> None:
    together = [TIMING, replace(TIMING, begin=110.0, end=130.0), replace(TIMING, begin=150.0, end=160.0)]
    assert concurrency(together) == [50 / 40]
    assert concurrency([TIMING, replace(TIMING, place=Path("other"))]) == [1.0, 1.0]
    assert concurrency([]) == []


@pytest.mark.parametrize(
    ("timings", "basis", "low", "high"),
    [
        ([TIMING], Basis.SAME, 20.0, 20.0),
        ([TIMING, replace(TIMING, duration_s=30.0)], Basis.SAME, 20.0, 30.0),
        # What is most like it counts alone.
        ([TIMING, replace(TIMING, task="x", duration_s=90.0)], Basis.SAME, 20.0, 20.0),
        ([replace(TIMING, task="x", limit=5, samples=5)], Basis.SCALED, 40.0, 40.0),
        ([replace(TIMING, task="x", limit=None, samples=100)], Basis.SCALED, 2.0, 2.0),
        ([replace(TIMING, deployment="x")], Basis.OTHER, 20.0, 20.0),
        ([replace(TIMING, task="x", repeats=4)], Basis.SCALED, 5.0, 5.0),
    ],
)
def test_a_task_costs_what_the_like_cost(timings: list[Timing], basis: Basis, low: float, high: float) -> None:
    plan = plan_task(make_deployment(), make_task(limit=10), timings)
    assert plan.basis is basis
    assert plan.samples == 10
    assert plan.duration_s == Interval(low / TIME_SPREAD[basis], high * TIME_SPREAD[basis])


@pytest.mark.parametrize(
    ("task", "timings"),
    [
        (make_task(limit=10), []),
        (make_task(limit=10), [replace(TIMING, kind=("command", "other", "chat"))]),
        (make_task(limit=10), [replace(TIMING, kind=("command", "sums", "completions"))]),
        # How many samples the whole benchmark has, a smoke run does not tell.
        (make_task(limit=None), [TIMING]),
    ],
)
def test_no_data(task: Task, timings: list[Timing]) -> None:
    plan = plan_task(make_deployment(), task, timings)
    assert (plan.basis, plan.samples, plan.duration_s, plan.requests) == (None, None, None, None)


def test_a_limit_above_the_size_of_the_benchmark_asks_no_more_than_there_is() -> None:
    whole = replace(TIMING, limit=None, samples=40)
    assert plan_task(make_deployment(), make_task(limit=1000), [whole]).samples == 40
    assert plan_task(make_deployment(), make_task(limit=None, repeats=3), [whole]).samples == 120


@given(st.integers(1, 10_000), st.floats(0.1, 1e5), st.floats(0.1, 1e5))
def test_costs_grow_with_the_samples_and_stay_an_interval(limit: int, first: float, second: float) -> None:
    timings = [replace(TIMING, task="x", duration_s=one) for one in (first, second)]
    small = plan_task(make_deployment(), make_task(limit=limit), timings).duration_s
    large = plan_task(make_deployment(), make_task(limit=2 * limit), timings).duration_s
    assert small is not None
    assert large is not None
    assert 0 < small.low <= small.high
    assert large.low == pytest.approx(2 * small.low)
    assert large.high == pytest.approx(2 * small.high)


TASKS = [make_task("sums", limit=10), make_task("done", limit=10), make_task("new", limit=10)]


def _plans(config: Config) -> list[Any]:
    todo = frozenset((one.name, task) for one in config.deployments for task in ("sums", "new"))
    return [plan_deployment(config, one, todo, [TIMING], {TIMING.deployment: [3.0, 5.0]}) for one in config.deployments]


def test_a_run_as_json_and_as_a_table() -> None:
    deployments = [
        make_deployment("tiny", tensor_parallel_size=4, data_parallel_size=2),
        make_deployment("there", type="none"),
    ]
    config = make_config(deployments=deployments, tasks=TASKS)
    priced = {"price_per_gpu_hour": 2.0, "currency": "EUR"}
    config = replace(config, execution=replace(config.execution, options=Node(priced)))
    document = json.loads(json.dumps(plan_document(config, _plans(config))))
    jsonschema.validate(document, SCHEMA)
    tiny = document["deployments"][0]
    assert [task["done"] for task in tiny["tasks"]] == [False, True, False]
    assert (tiny["gpus"], tiny["tasks_without_data"], tiny["load_s"]) == (8, 1, [3.0, 5.0])
    assert tiny["wall_s"] == [19.0, 30.0]
    assert tiny["gpu_hours"] == pytest.approx([19 * 8 / 3600, 30 * 8 / 3600], abs=1e-4)
    assert tiny["cost"] == pytest.approx([2 * 19 * 8 / 3600, 2 * 30 * 8 / 3600], abs=1e-4)
    assert document["deployments"][1]["gpus"] == 0
    total = document["total"]
    assert (total["tasks"], total["tasks_done"], total["tasks_without_data"]) == (4, 2, 2)
    assert total["requests"] == [20.0, 20.0]
    text = plan_table(config, _plans(config))
    assert text.startswith("run demo: 4 tasks to do, 2 done\n")
    assert "cost: 0.08 - 0.13 EUR" in text
    assert "no data" in text
    assert "  sums" in text


def test_without_any_data_nothing_is_said() -> None:
    config = make_config(tasks=TASKS)
    plan = plan_deployment(config, config.deployments[0], frozenset({("tiny", "new")}), [], {})
    document = plan_document(config, [plan])
    jsonschema.validate(json.loads(json.dumps(document)), SCHEMA)
    assert document["total"]["wall_s"] is None
    assert document["total"]["cost"] is None
    assert plan_table(config, [plan]).endswith("time: no data")
    finished = plan_deployment(config, config.deployments[0], frozenset(), [TIMING], {})
    assert plan_table(config, [finished]).endswith("nothing to do")


@pytest.mark.parametrize(("at_a_time", "wall"), [(1, Interval(38.0, 60.0)), (5, Interval(19.0, 30.0))])
def test_deployments_one_after_another_or_together(at_a_time: int, wall: Interval) -> None:
    config = make_config(tasks=TASKS)
    assert wall_of_run([*_plans(config), *_plans(config)], at_a_time) == wall


@pytest.mark.parametrize(
    ("options", "gpus"),
    [
        ({}, None),
        ({"gres": "gpu:8", "num_nodes": 2}, 16),
        ({"gres": "gpu:a100:4"}, 4),
        ({"gres": "gpu"}, 1),
        ({"gres": "lustre:1,gpu:h100:2"}, 2),
        ({"gres": "shard:3"}, None),
        ({"gpus_per_node": 4, "num_nodes": 3, "gres": None}, 12),
        ({"gpus_per_node": 0}, 0),
    ],
)
def test_gpus(options: dict[str, Any], gpus: int | None) -> None:
    config = make_config()
    config = replace(config, execution=replace(config.execution, options=Node(options)))
    assert gpus_of(config, config.deployments[0]) == gpus
    assert gpus_of(config, make_deployment("there", type="none")) == 0
    engine = make_deployment(tensor_parallel_size=4, pipeline_parallel_size=2)
    assert gpus_of(config, engine) == (8 if gpus is None else gpus)
    several = replace(config, execution=replace(config.execution, options=Node(options | {"num_instances": 2})))
    # The nodes are those of all instances together.
    assert gpus_of(several, engine) == (16 if gpus is None else gpus)


SUMMARY = """output_file	date	rule	log-file(s)	status	plan
results/demo/tiny/sums/result.json	-	evaluate	-	missing	update pending
results/demo/tiny/done/result.json	Wed Nov 25 02:38:56 2026	evaluate	x/log.txt	ok	no update
results/demo/tiny/server/teardown.json	-	teardown	-	missing	update pending
"""


def test_what_snakemake_would_run(monkeypatch: pytest.MonkeyPatch) -> None:
    config = make_config(tasks=TASKS)
    calls = []

    def run(command: list[str], **_: Any) -> "subprocess.CompletedProcess[str]":
        calls.append(command)
        return subprocess.CompletedProcess(command, 0, SUMMARY, "Building DAG of jobs...")

    monkeypatch.setattr("snakeval.commands.plan.pending.subprocess.run", run)
    assert pending_tasks(config, ["--configfile", "my.yaml"]) == {("tiny", "sums")}
    assert calls[0][0] == sys.executable
    assert calls[0][-3:] == ["--summary", "--configfile", "my.yaml"]
    assert parse_summary("") == set()


def test_snakemakes_own_words_when_there_is_no_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    failed: subprocess.CompletedProcess[str] = subprocess.CompletedProcess([], 1, "", "WorkflowError: nope\n")
    monkeypatch.setattr("snakeval.commands.plan.pending.subprocess.run", lambda *_, **__: failed)
    with pytest.raises(SnakevalError, match="WorkflowError: nope"):
        pending_tasks(make_config(), [])
