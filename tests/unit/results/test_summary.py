"""The tables of a run: every task has its rows, what is missing shows as missing, and the files agree."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from builders import make_config, make_deployment, make_metric, make_outcome, make_task
from snakeval.config.model import Config
from snakeval.harnesses.base import Metric
from snakeval.results.answers import Answers, Latency
from snakeval.results.result import Result, build_result
from snakeval.results.rows import SUMMARY_COLUMNS, Row, headline_rows
from snakeval.results.summary import failure_report, leaderboard, summarize, write_summary
from snakeval.run.paths import RunPaths


@pytest.fixture
def config(tmp_path: Path) -> Config:
    deployments = (make_deployment("a"), make_deployment("b"))
    return make_config(tmp_path / "results", deployments, (make_task("sums", limit=4), make_task("words")))


def _paths(config: Config) -> RunPaths:
    return RunPaths(config.folder)


def _finish(config: Config, deployment: str, task: str, *metrics: Metric) -> None:
    done = next(one for one in config.deployments if one.name == deployment)
    scored = next(one for one in config.tasks if one.name == task)
    result = build_result(config, done, scored, make_outcome(*metrics), 0.0, 1.0, 1)
    result.write(_paths(config).task(deployment, task).result)


def _row(**values: Any) -> Row:
    names = {"run": "demo", "deployment": "a", "served_model_name": "m", "deployment_type": "generic", "task": "sums"}
    task = {"limit": None, "repeats": 1, "protocol": "chat", "harness": "command", "harness_task": "sums"}
    score = {"metric": "acc", "filter": "none", "value": 0.5, "n": 4, "status": "ok"}
    return Row(**{**names, **task, **score, **values})


def test_every_task_has_rows(config: Config) -> None:
    _finish(
        config,
        "a",
        "sums",
        make_metric("acc", 0.5, ci_low=0.1, ci_high=0.9),
        make_metric("f1", 0.25, stderr=None, subtask="hard"),
    )
    malformed = _paths(config).task("b", "words").result
    malformed.parent.mkdir(parents=True)
    malformed.write_text('{"metrics": []}', encoding="utf-8")
    rows = summarize(config)
    shown = [(row.deployment, row.task, row.metric, row.subtask, row.value, row.status) for row in rows]
    assert shown == [
        ("a", "sums", "acc", None, 0.5, "ok"),
        ("a", "sums", "f1", "hard", 0.25, "ok"),
        ("a", "words", None, None, None, "missing"),
        ("b", "sums", None, None, None, "missing"),
        ("b", "words", None, None, None, "missing"),
    ]
    assert rows[0].cells(SUMMARY_COLUMNS) == {
        "run": "demo",
        "deployment": "a",
        "task": "sums",
        "subtask": None,
        "metric": "acc",
        "filter": "none",
        "value": 0.5,
        "stderr": 0.25,
        "ci_low": 0.1,
        "ci_high": 0.9,
        "n": 4,
        "limit": 4,
        "repeats": 1,
        "protocol": "chat",
        "harness": "command",
        "status": "ok",
    }


def test_files_agree(config: Config) -> None:
    _finish(config, "a", "sums", make_metric(ci_low=0.25, ci_high=0.96875))
    rows = summarize(config)
    write_summary(config, rows)
    paths = _paths(config)
    with paths.summary("csv").open(encoding="utf-8", newline="") as stream:
        table = list(csv.DictReader(stream))
    cells = [row.cells(SUMMARY_COLUMNS) for row in rows]
    assert table == [{name: "" if value is None else str(value) for name, value in row.items()} for row in cells]
    assert json.loads(paths.summary("json").read_text(encoding="utf-8")) == {"run": "demo", "rows": cells}
    assert paths.summary("md").read_text(encoding="utf-8") == (
        "| deployment   | task   | metric      |   value |   stderr |    95 % interval |   n |   limit |\n"
        "|--------------|--------|-------------|---------|----------|------------------|-----|---------|\n"
        "| a            | sums   | exact_match |  0.7500 |   0.2500 | 0.2500 to 0.9688 |   4 |       4 |\n"
        "| a            | words  | missing     |         |          |                  |     |     all |\n"
        "| b            | sums   | missing     |         |          |                  |     |       4 |\n"
        "| b            | words  | missing     |         |          |                  |     |     all |\n"
    )
    assert sorted(path.name for path in paths.root.iterdir() if path.is_file()) == [
        "summary.csv",
        "summary.json",
        "summary.md",
    ]


def test_a_name_that_looks_like_a_number_stays_as_it_is() -> None:
    row = _row(deployment="007", task="1e3", stderr=None, value=1.0)
    assert leaderboard([row]).splitlines()[-1].split() == ["007", "1e3", "acc", "1.0000", "4", "all"]


def test_a_score_has_a_mark_when_something_is_to_be_said_of_its_answers() -> None:
    table = leaderboard([_row(note="2 cut off, 1 empty"), _row(task="words")]).splitlines()
    assert [line.split()[3] for line in table[2:4]] == ["0.5000*", "0.5000"]
    assert table[4:] == ["", "* a/sums: answers 2 cut off, 1 empty"]


def test_counts_of_answers_are_kept_and_told(config: Config) -> None:
    counted = Answers({"answered": 3, "cut off": 1}, Latency(0.5, 0.75, 0.75), {"temperature": (0.0,)}, "0" * 64)
    result = build_result(config, config.deployments[0], config.tasks[0], make_outcome(), 0.0, 1.0, 1, counted)
    result.write(_paths(config).task("a", "sums").result)
    assert Result.read(_paths(config).task("a", "sums").result) == result
    assert summarize(config)[0].note == "1 cut off"


@pytest.mark.parametrize(
    ("metrics", "chosen"),
    [
        (["acc", "acc_norm"], "acc_norm"),
        (["acc", "exact_match"], "exact_match"),
        (["f1", "pass@1", "acc"], "acc"),
        (["zzz", "f1"], "f1"),
        (["zzz", "aaa"], "zzz"),
    ],
)
def test_the_best_known_metric_is_the_headline(metrics: list[str], chosen: str) -> None:
    rows = [_row(metric=name) for name in metrics]
    assert [row.metric for row in headline_rows(rows)] == [chosen]


def test_the_task_itself_goes_before_its_members() -> None:
    rows = [_row(subtask="hard", metric="acc_norm"), _row(metric="zzz"), _row(subtask="easy", metric="acc_norm")]
    assert headline_rows(rows) == [rows[1]]
    assert headline_rows(rows[::2]) == [rows[0]]


def test_one_headline_for_each_task_of_each_deployment() -> None:
    rows = [_row(deployment=name, task=task) for name in "ab" for task in ("sums", "words")]
    assert headline_rows(rows) == rows


@pytest.mark.parametrize(("filter", "shown"), [("none", "acc"), (None, "acc"), ("", "acc"), ("strict", "acc (strict)")])
def test_a_filter_is_named(filter: str | None, shown: str) -> None:
    assert f"  {shown}  " in leaderboard([_row(filter=filter)])


def test_the_end_of_the_log_is_shown(config: Config) -> None:
    _finish(config, "a", "sums")
    _finish(config, "b", "sums")
    paths = _paths(config)
    task, server = paths.task("a", "words"), paths.server("b")
    for number, log in enumerate((server.deploy_log, paths.task("b", "words").ready_log, task.ready_log, task.log)):
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text("".join(f"line {line} of log {number}\n" for line in range(20)), encoding="utf-8")
    task.log.write_text("one\ntwo\n" + "x" * 300 + "\n3\n4\n5\nerror: the last\n", encoding="utf-8")
    rows = summarize(config)
    report = failure_report(config, rows)
    parts = report.split("\n\n")
    assert parts[0] == leaderboard(rows)
    assert parts[1].splitlines() == [
        f"missing: a/words (log: {task.log})",
        "    two",
        "    " + "x" * 200,
        "    3",
        "    4",
        "    5",
        "    error: the last",
    ]
    # The step that came farthest is `ready`.
    assert parts[2].splitlines() == [
        f"missing: b/words (log: {paths.task('b', 'words').ready_log})",
        *(f"    line {line} of log 1" for line in range(14, 20)),
    ]
    assert parts[3:] == ["run demo is not complete; the same command runs only what is missing"]


def test_the_log_of_deploy_or_none(config: Config) -> None:
    log = _paths(config).server("a").deploy_log
    log.parent.mkdir(parents=True)
    log.write_text("error: no such checkpoint\n", encoding="utf-8")
    report = failure_report(config, summarize(config))
    assert report.count(f"(log: {log})\n    error: no such checkpoint") == 2
    assert "missing: b/sums\n    it was not begun" in report
