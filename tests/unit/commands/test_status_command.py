"""`snakeval status` itself: once, and until the run has ended."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from builders import make_config, make_outcome
from fake_backend import FakeBackend
from snakeval.commands import make_parser
from snakeval.commands.chosen_run import ChosenRun
from snakeval.commands.status import command as status
from snakeval.results.result import build_result
from snakeval.run.paths import RunPaths
from snakeval.run.session import SessionRecord


@pytest.fixture
def chosen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ChosenRun]:
    """A run of one task that the command finds."""
    run = ChosenRun(make_config(tmp_path), RunPaths(tmp_path / "demo"), ())
    monkeypatch.setattr(status, "choose_run", lambda _: run)
    monkeypatch.setattr(status, "backend_of", lambda _: FakeBackend())
    yield run


@pytest.fixture
def course(chosen: ChosenRun, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Let the run begin, succeed in its task, and end, one step whenever the command waits; returns the steps done."""
    session = SessionRecord()
    config = chosen.config
    result = build_result(config, config.deployments[0], config.tasks[0], make_outcome(), 0.0, 1.0, 1)
    steps = {
        "begun": lambda: session.write(chosen.paths.snakemake),
        "nothing new": lambda: None,
        "task": lambda: result.write(chosen.paths.task("tiny", "sums").result),
        "ended": lambda: replace(session, ended_at=session.began_at, outcome="succeeded").write(chosen.paths.snakemake),
    }
    left, done = iter(steps), list[str]()

    def nap(_: float) -> None:
        step = next(left)
        steps[step]()
        done.append(step)

    monkeypatch.setattr("snakeval.commands.status.command.time.sleep", nap)
    return done


def _call(*words: str) -> int:
    arguments = make_parser().parse_args(["status", *words])
    return int(arguments.run(arguments))


def test_once(chosen: ChosenRun, capsys: pytest.CaptureFixture[str]) -> None:
    assert _call() == 0
    assert capsys.readouterr().out.startswith("run demo: Snakemake has not begun")
    assert _call("--json") == 0
    assert json.loads(capsys.readouterr().out)["counts"]["queued"] == 1


def test_watching_waits_for_the_beginning_and_ends_with_the_run(
    course: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert _call("--watch") == 0
    assert course == ["begun", "nothing new", "task", "ended"]
    lines = [line.partition(" ")[2] for line in capsys.readouterr().out.splitlines()]
    assert lines == [
        "Snakemake not begun; 1 queued",
        "Snakemake running; 1 queued",
        "Snakemake running; 1 succeeded",
        "Snakemake succeeded; 1 succeeded",
    ]


def test_watching_for_programs_is_an_object_a_line(course: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert _call("--watch", "--json") == 0
    states = [json.loads(line)["snakemake"]["state"] for line in capsys.readouterr().out.splitlines()]
    assert states == ["not begun", "running", "running", "running", "succeeded"]
