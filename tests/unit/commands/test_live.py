"""`--logger snakeval`: a table on a terminal, plain lines elsewhere, Snakemake's own words for a plan."""

import io
import logging
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from builders import make_config
from fake_backend import FakeBackend
from snakemake.settings.types import OutputSettings
from snakemake_interface_logger_plugins.common import LogEvent
from snakeval.commands.status import live
from snakeval.commands.status.live import LiveView
from snakeval.run.attempt import Attempt, Stage
from snakeval.run.paths import RunPaths
from snakeval.run.session import SessionRecord
from snakeval.system.checkout import ROOT
from snakeval.system.files import write_json
from snakeval.workflow.job import SILENT_VARIABLE, job
from workspace import eventually


class Terminal(io.StringIO):
    """A stream that says that it is a terminal."""

    def isatty(self) -> bool:
        """Say so."""
        return True


@pytest.fixture(autouse=True)
def _terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT / "scripts/plugins")
    monkeypatch.setattr(live, "backend_of", lambda _: FakeBackend())
    monkeypatch.setattr(live, "EVERY_S", 0.01)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv(SILENT_VARIABLE, raising=False)


def _handler(dryrun: bool = False) -> Any:
    from snakemake_logger_plugin_snakeval.handler import LogHandler

    return LogHandler(OutputSettings(dryrun=dryrun, nocolor=True), None)


def _emit(handler: Any, event: LogEvent | None, message: str = "", level: int = logging.INFO, **fields: Any) -> None:
    record = logging.LogRecord("snakemake", level, "", 0, message, None, None)
    record.__dict__.update(fields, event=event)
    handler.emit(record)


def _tell(handler: Any, log: Path) -> None:
    """Let a job succeed and another one fail, as Snakemake tells it."""
    for number, rule in enumerate(("ready", "evaluate", "evaluate")):
        wildcards = {"deployment": "tiny", "task": f"t{number}"}
        _emit(handler, LogEvent.JOB_INFO, jobid=number, rule_name=rule, wildcards=wildcards)
    _emit(handler, LogEvent.JOB_FINISHED, job_id=0)
    _emit(handler, LogEvent.JOB_FINISHED, job_id=1)
    _emit(handler, LogEvent.PROGRESS, done=2, total=3)
    _emit(handler, LogEvent.ERROR, "RuleException:\nCalledProcessError in file", logging.ERROR)
    _emit(handler, LogEvent.JOB_ERROR, jobid=2, log=[str(log)])
    _emit(handler, None, "a note", logging.INFO)
    _emit(handler, None, "Exiting because", logging.ERROR)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "log.txt"
    path.write_text("much\nerror: the end\n", encoding="utf-8")
    return path


def test_plain_lines_without_a_terminal(log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    handler = _handler()
    handler.watch(make_config(tmp_path))
    assert SILENT_VARIABLE not in os.environ
    _tell(handler, log)
    handler.unwatch()
    assert capsys.readouterr().err.splitlines() == [
        "done: ready tiny/t0",
        "done: evaluate tiny/t1",
        "2 of 3 jobs",
        f"failed: evaluate tiny/t2 (log: {log})",
        "Exiting because",
    ]


def _on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """Put a terminal in place of stderr; in the test itself, because pytest changes streams between its phases."""
    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    return stream


def test_a_table_on_a_terminal(log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = _on_a_terminal(monkeypatch)
    config = make_config(tmp_path)
    paths = RunPaths(tmp_path / config.run)
    SessionRecord(began_at=1.0).write(paths.snakemake)
    attempt = Attempt(Stage.EVALUATE, 1, 3, "fingerprint-of-tiny fingerprint-of-sums", done=7, total=20)
    write_json(paths.task("tiny", "sums").attempt, asdict(attempt))
    handler = _handler()
    handler.watch(config)
    try:
        eventually(lambda: "7/20" in terminal.getvalue(), 20)
        write_json(paths.task("tiny", "sums").attempt, asdict(attempt) | {"done": 8})
        eventually(lambda: "8/20" in terminal.getvalue(), 20)
        _tell(handler, log)
        assert "error: the end" in terminal.getvalue()
        assert "done: evaluate tiny/t1" in terminal.getvalue()
        for left_out in ("done: ready", "of 3 jobs", "CalledProcessError"):
            assert left_out not in terminal.getvalue()
        assert SILENT_VARIABLE in os.environ
    finally:
        handler.close()
    assert SILENT_VARIABLE not in os.environ
    before = terminal.getvalue()
    handler.unwatch()
    assert terminal.getvalue() == before


@pytest.mark.parametrize("term", ["dumb", ""])
def test_no_table_where_lines_cannot_be_written_over(
    tmp_path: Path, term: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = _on_a_terminal(monkeypatch)
    monkeypatch.setenv("TERM", term)
    handler = _handler()
    handler.watch(make_config(tmp_path))
    _emit(handler, None, "well", logging.ERROR)
    handler.close()
    assert terminal.getvalue() == "well\n"


def test_the_table_survives_what_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = _on_a_terminal(monkeypatch)
    looks = []

    def look(*_: object, **__: object) -> None:
        looks.append(1)
        raise OSError("stale file handle")

    monkeypatch.setattr(live, "run_status", look)
    view = LiveView.started(make_config(tmp_path), terminal)
    eventually(lambda: len(looks) > 2, 20)
    view.stop()


def test_a_plan_is_shown_as_snakemake_shows_it(capsys: pytest.CaptureFixture[str]) -> None:
    handler = _handler(dryrun=True)
    _emit(handler, LogEvent.RUN_INFO, "Job stats:\njob  count")
    assert capsys.readouterr().err == "Job stats:\njob  count\n"


def test_jobs_leave_the_terminal_to_the_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(SILENT_VARIABLE, "1")
    with job(tmp_path / "log.txt", "tiny/sums") as journal:
        journal.say("half")
    assert capsys.readouterr().err == ""
    assert "half" in (tmp_path / "log.txt").read_text(encoding="utf-8")
