"""The state of a run from its files: true whatever died, at a cost that does not grow."""

import io
import os
import pathlib
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import jsonschema
import psutil
import pytest
import yaml
from builders import make_config, make_deployment, make_outcome, make_task
from fake_backend import FakeBackend
from rich.console import Console
from snakeval.commands.status.document import status_document
from snakeval.commands.status.run_status import RunStatus, TaskState, TaskStatus, run_status
from snakeval.commands.status.table import status_view
from snakeval.config.model import Config
from snakeval.results.result import build_result
from snakeval.run.attempt import Attempt, Course, Stage
from snakeval.run.failures import FailedStarts
from snakeval.run.paths import RunPaths
from snakeval.run.server import Server, ServerRecord, ServerState
from snakeval.run.session import SessionRecord
from snakeval.system.checkout import ROOT
from snakeval.system.files import write_json, write_text
from snakeval.system.times import clock

FINGERPRINT = "fingerprint-of-tiny fingerprint-of-sums"
NOW = 10_000.0
HERE = SessionRecord(began_at=NOW - 100)
DEAD = replace(HERE, process_start=1.0)
ENDED = replace(HERE, ended_at=NOW - 10)
ALIVE = Attempt(Stage.EVALUATE, 1, 3, FINGERPRINT, started_at=NOW - 50, updated_at=NOW - 1, done=5, total=20)
KILLED = replace(ALIVE, process_start=1.0)
SCHEMA = yaml.safe_load((ROOT / "schemas" / "status.schema.yaml").read_text(encoding="utf-8"))


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return make_config(tmp_path / "results")


def _paths(config: Config) -> RunPaths:
    return RunPaths(config.folder)


def _look(config: Config, **servers: Server) -> RunStatus:
    status = run_status(config, now=NOW, backend=FakeBackend(servers))
    jsonschema.validate(status_document(status), SCHEMA)
    return status


def _task(config: Config, session: SessionRecord | None, attempt: Attempt | None) -> TaskStatus:
    if session is not None:
        session.write(_paths(config).snakemake)
    if attempt is not None:
        write_json(_paths(config).task("tiny", "sums").attempt, asdict(attempt))
    return _look(config).tasks[0]


@pytest.mark.parametrize(
    ("session", "attempt", "state", "reason"),
    [
        (None, None, TaskState.QUEUED, None),
        (HERE, None, TaskState.QUEUED, None),
        (HERE, ALIVE, TaskState.RUNNING, None),
        (HERE, replace(ALIVE, stage=Stage.READY), TaskState.QUEUED, "waiting for its server"),
        (HERE, replace(ALIVE, stage=Stage.READY, course=Course.SUCCEEDED), TaskState.QUEUED, "its server is ready"),
        (HERE, KILLED, TaskState.QUEUED, "attempt 1 was killed"),
        (HERE, replace(KILLED, attempt=3), TaskState.FAILED, "attempt 3 was killed"),
        (HERE, replace(ALIVE, course=Course.FAILED, reason="x"), TaskState.QUEUED, "attempt 1 failed: x"),
        (HERE, replace(ALIVE, course=Course.FAILED, reason="x", attempt=3), TaskState.FAILED, "x"),
        (HERE, replace(ALIVE, course=Course.INTERRUPTED), TaskState.QUEUED, "interrupted"),
        (HERE, replace(ALIVE, course=Course.FAILED, started_at=NOW - 999), TaskState.QUEUED, "to be tried again"),
        (HERE, replace(ALIVE, fingerprint="a b"), TaskState.QUEUED, "its settings have changed"),
        (HERE, replace(ALIVE, course=Course.SUCCEEDED), TaskState.QUEUED, "its result was deleted"),
        # After the end, whatever it was.
        (replace(ENDED, outcome="failed"), KILLED, TaskState.FAILED, "attempt 1 was killed"),
        (replace(ENDED, outcome="interrupted"), KILLED, TaskState.QUEUED, "interrupted"),
        (replace(ENDED, outcome="failed"), replace(ALIVE, course=Course.FAILED, reason="x"), TaskState.FAILED, "x"),
        (replace(ENDED, outcome="interrupted"), None, TaskState.QUEUED, None),
        (DEAD, KILLED, TaskState.QUEUED, "interrupted"),
        (DEAD, ALIVE, TaskState.RUNNING, None),
        (DEAD, replace(ALIVE, stage=Stage.READY, course=Course.SUCCEEDED), TaskState.QUEUED, "interrupted"),
    ],
)
def test_a_task_without_a_result(
    config: Config, session: SessionRecord | None, attempt: Attempt | None, state: TaskState, reason: str | None
) -> None:
    status = _task(config, session, attempt)
    assert (status.state, status.reason) == (state, reason)


@pytest.mark.parametrize(
    ("attempt", "state"),
    [
        (replace(ALIVE, course=Course.SUCCEEDED, done=20), TaskState.SUCCEEDED),
        (replace(ALIVE, course=Course.SUCCEEDED, fingerprint="a b"), TaskState.QUEUED),
        # The result itself is asked where the attempt says nothing of it.
        (None, TaskState.SUCCEEDED),
        (replace(ALIVE, stage=Stage.READY, course=Course.SUCCEEDED), TaskState.SUCCEEDED),
    ],
)
def test_a_task_with_a_result(config: Config, attempt: Attempt | None, state: TaskState) -> None:
    outcome = make_outcome(asked=20, answered=20)
    result = build_result(config, config.deployments[0], config.tasks[0], outcome, 0.0, 1.0, 2)
    result.write(_paths(config).task("tiny", "sums").result)
    status = _task(config, HERE, attempt)
    assert status.state is state
    if state is TaskState.SUCCEEDED:
        assert (status.done, status.total) == (20, 20)


def test_how_far_a_task_is(config: Config) -> None:
    counted = replace(ALIVE, first_done=1, first_at=NOW - 9, counted_at=NOW - 1)
    status = _task(config, HERE, counted)
    assert (status.done, status.total, status.rate_per_s, status.remaining_s) == (5, 20, 0.5, 30.0)
    assert (status.attempt, status.last_attempt) == (1, 3)
    assert status.log == str(_paths(config).task("tiny", "sums").log)
    waiting = _task(config, HERE, replace(counted, stage=Stage.READY))
    assert (waiting.rate_per_s, waiting.log) == (None, str(_paths(config).task("tiny", "sums").ready_log))


def test_a_deployment_that_was_refused_fails_its_tasks(config: Config) -> None:
    files = _paths(config).server("tiny")
    HERE.write(_paths(config).snakemake)
    write_text(files.deploy_log, "error: deployment tiny: checkpoint_path does not exist\n  got: x\n")
    status = _look(config)
    reason = "deployment tiny: checkpoint_path does not exist"
    assert (status.servers[0].state, status.servers[0].reason) == (ServerState.FAILED, reason)
    assert (status.tasks[0].state, status.tasks[0].reason) == (TaskState.FAILED, reason)
    write_json(files.deployment, {})
    assert _look(config).tasks[0].state is TaskState.QUEUED


def test_servers(config: Config) -> None:
    files = _paths(config).server("tiny")
    started = ServerRecord(ServerState.READY, "0123456789abcdef", started_at=NOW - 30, updated_at=NOW - 10, restarts=1)
    started.write(files.state)
    HERE.write(_paths(config).snakemake)
    ready = Server(ServerState.READY, None, "first", 1, "node7", 8000)
    one = _look(config, tiny=ready).servers[0]
    assert (one.state, one.address, one.age_s, one.restarts) == (ServerState.READY, "node7:8000", 30.0, 1)
    assert one.log == str(files.log)
    ENDED.write(_paths(config).snakemake)
    assert "left over" in str(_look(config, tiny=ready).servers[0].reason)
    gone = _look(config, tiny=replace(ready, state=ServerState.STOPPED, reason="idle for 5 s")).servers[0]
    assert (gone.state, gone.age_s, gone.reason) == (ServerState.STOPPED, 20.0, "idle for 5 s")


def test_a_server_that_could_not_be_started_has_failed_although_it_was_stopped(config: Config) -> None:
    files = _paths(config).server("tiny")
    HERE.write(_paths(config).snakemake)
    record = ServerRecord(ServerState.STOPPED, "0123456789abcdef", started_at=NOW - 30, updated_at=NOW - 10)
    record.write(files.state)
    stopped = Server(ServerState.STOPPED, "stopped by SIGTERM", "first")
    FailedStarts(HERE.name, 1, "it was not ready\nits log").write(files.failures)
    os.utime(files.failures, (NOW - 11, NOW - 11))
    one = _look(config, tiny=stopped).servers[0]
    assert (one.state, one.reason) == (ServerState.FAILED, "it was not ready")
    replace(record, started_at=NOW - 9, updated_at=NOW - 5).write(files.state)
    assert _look(config, tiny=stopped).servers[0].state is ServerState.STOPPED, "it was started since"
    FailedStarts("another", 1, "it was not ready").write(files.failures)
    assert _look(config, tiny=stopped).servers[0].state is ServerState.STOPPED


def test_an_endpoint_that_was_there_before(config: Config) -> None:
    status = _look(replace(config, deployments=(make_deployment("there", type="none"),)))
    assert (status.servers[0].state, status.servers[0].address) == (None, "http://127.0.0.1:9/v1")


@pytest.mark.parametrize(
    ("session", "state"),
    [
        (None, "not begun"),
        (HERE, "running"),
        (DEAD, "killed"),
        (replace(ENDED, outcome="interrupted"), "interrupted"),
        (replace(ENDED, machine="elsewhere", outcome="failed"), "failed"),
    ],
)
def test_what_snakemake_does(config: Config, session: SessionRecord | None, state: str) -> None:
    if session is not None:
        session.write(_paths(config).snakemake)
    assert _look(config).session_state == state


def test_of_a_snakemake_on_another_machine_the_sign_of_life_tells(config: Config) -> None:
    paths = _paths(config)
    replace(HERE, machine="elsewhere").write(paths.snakemake)
    assert _look(config).session_state == "killed", "it took its sign of life away"
    write_json(paths.session, {})
    assert _look(config).session_state == "running"
    os.utime(paths.session, (1, 1))
    assert _look(config).session_state == "killed"


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The names of the files that are opened or asked for."""
    names: list[str] = []
    plain = io.open

    def noting(file: Any, *arguments: Any, **named: Any) -> Any:
        names.append(pathlib.Path(str(file)).name)
        return plain(file, *arguments, **named)

    monkeypatch.setattr(io, "open", noting)
    yield names


def test_500_tasks_cost_a_file_each_and_no_process_list(
    tmp_path: Path, opened: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    deployments = [make_deployment(f"d{number}") for number in range(10)]
    config = make_config(tmp_path, deployments, [make_task(f"t{number}") for number in range(50)])
    for deployment in deployments:
        for task in config.tasks:
            fingerprint = f"{deployment.fingerprint} {task.fingerprint}"
            files = _paths(config).task(deployment.name, task.name)
            write_json(files.attempt, asdict(replace(ALIVE, fingerprint=fingerprint, course=Course.SUCCEEDED)))
            write_text(files.result, "not read")
    monkeypatch.setattr(psutil, "process_iter", lambda *_: pytest.fail("looks through all processes"))
    opened.clear()
    status = run_status(config, now=NOW, backend=FakeBackend())
    assert status.counts[TaskState.SUCCEEDED] == 500
    assert opened.count("attempt.json") == 500
    assert "result.json" not in opened
    assert len(opened) <= 500 + 4 * len(deployments) + 1


def test_status_writes_nothing(config: Config) -> None:
    _task(config, HERE, ALIVE)
    root = config.execution.output_dir
    before = {path: path.stat().st_mtime_ns for path in root.rglob("*")}
    _look(config)
    assert {path: path.stat().st_mtime_ns for path in root.rglob("*")} == before


def _shown(status: RunStatus, width: int, height: int | None = None) -> list[str]:
    console = Console(width=width, record=True, file=io.StringIO())
    console.print(status_view(status, width, height))
    return console.export_text().splitlines()


def test_the_table_fits_the_terminal(tmp_path: Path) -> None:
    names = ["a-deployment-with-a-rather-long-name", "another-deployment-with-a-long-name"]
    tasks = [make_task(f"task_{number}") for number in range(30)]
    config = make_config(tmp_path, [make_deployment(name) for name in names], tasks)
    HERE.write(_paths(config).snakemake)
    for number, course in ((7, Course.RUNNING), (12, Course.FAILED)):
        fingerprint = f"fingerprint-of-{names[1]} fingerprint-of-task_{number}"
        attempt = replace(ALIVE, attempt=3, course=course, fingerprint=fingerprint, reason="a long story " * 9)
        write_json(_paths(config).task(names[1], f"task_{number}").attempt, asdict(attempt))
    status = _look(config)
    lines = _shown(status, 100, 24)
    assert len(lines) <= 24
    assert max(map(len, lines)) <= 100
    assert lines[1] == "60 tasks: 1 running, 1 failed, 58 queued"
    assert lines[8].split()[:2] == [f"{names[1]}/task_12", "failed"]
    assert lines[9].split() == [f"{names[1]}/task_7", "running", "5/20", "3/3"]
    assert lines[-1].startswith("and ")
    narrow = _shown(status, 66, 24)
    assert max(map(len, narrow)) <= 66
    assert narrow[8].startswith("…")
    assert "/task_12 " in narrow[8]
    full = "\n".join(_shown(status, 100))
    assert f"failed: {names[1]}/task_12 (log: " in full
    assert full.count("queued") == 59


@pytest.mark.parametrize(("seconds", "text"), [(None, ""), (0.4, "0:00"), (61, "1:01"), (3599.6, "1:00:00")])
def test_durations(seconds: float | None, text: str) -> None:
    assert clock(seconds) == text
