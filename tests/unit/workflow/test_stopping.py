"""`snakeval stop`: what ends, and that nobody else's process or run is touched."""

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from builders import make_config, make_deployment, make_task
from fake_backend import FakeBackend
from snakeval.config.model import Config
from snakeval.errors import DeploymentError, UsageError
from snakeval.evaluation.leases import make_ready
from snakeval.run.heartbeat import Owner, SessionWatch
from snakeval.run.paths import RunPaths
from snakeval.run.server import Server, ServerState
from snakeval.run.session import SessionRecord, StopMark, refuse_stopped
from snakeval.serving import servers as serving
from snakeval.system.files import HeldLock, write_json
from snakeval.system.processes import SESSION_VARIABLE
from snakeval.workflow import stopping
from snakeval.workflow.stopping import stop_deployment, stop_run

READY = Server(ServerState.READY, None, "first", 1, "127.0.0.1", 8000)
SNAKEMAKE = """import os, signal, sys
os.open(sys.argv[1], os.O_DIRECTORY)
def on_signal(number, frame):
    print("interrupted", flush=True)
    sys.exit(1)
signal.signal(signal.SIGINT, on_signal)
print("up", flush=True)
signal.pause()
"""


@pytest.fixture(autouse=True)
def backend(monkeypatch: pytest.MonkeyPatch) -> FakeBackend:
    fake = FakeBackend({"a": READY})
    for module in (stopping, serving):
        monkeypatch.setattr(module, "backend_of", lambda _: fake)
    monkeypatch.setattr(stopping, "POLL_S", 0.01)
    return fake


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Config:
    monkeypatch.chdir(tmp_path)
    deployments = [make_deployment("a"), make_deployment("b"), make_deployment("there", type="none")]
    return make_config(tmp_path / "results", deployments)


@pytest.fixture
def snakemake(config: Config) -> Iterator["subprocess.Popen[str]"]:
    """A process that keeps the run open and ends on SIGINT, as Snakemake does."""
    process = _started(config.folder)
    yield process
    process.kill()
    process.wait()


def _started(folder: Path, program: str = SNAKEMAKE) -> "subprocess.Popen[str]":
    folder.mkdir(parents=True, exist_ok=True)
    process = subprocess.Popen([sys.executable, "-c", program, str(folder)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "up\n"
    return process


def _session_of(pid: int, config: Config) -> SessionRecord:
    record = replace(SessionRecord(), pid=pid, process_start=psutil.Process(pid).create_time())
    record.write(_paths(config).snakemake)
    return record


def _paths(config: Config) -> RunPaths:
    return RunPaths(config.folder)


def test_snakemake_is_ended_as_by_ctrl_c(
    config: Config, backend: FakeBackend, snakemake: "subprocess.Popen[str]"
) -> None:
    _session_of(snakemake.pid, config)
    said: list[str] = []
    stop_run(config, said.append)
    assert snakemake.wait(timeout=20) == 1
    assert snakemake.stdout is not None
    assert snakemake.stdout.read() == "interrupted\n"
    assert said[1:] == [
        f"Snakemake (process {snakemake.pid}) has ended: killed",
        "the server of a on 127.0.0.1:8000 has ended",
        "no server of b is left",
    ]
    assert backend.calls == ["stop a", "stop b"], "an endpoint that was there before is not ours to stop"
    said.clear()
    stop_run(config, said.append)
    assert said == ["no Snakemake works on run demo", "no server of a is left", "no server of b is left"]


def test_a_process_that_has_the_number_of_a_dead_snakemake_is_left_alone(
    config: Config, snakemake: "subprocess.Popen[str]"
) -> None:
    record = _session_of(snakemake.pid, config)
    replace(record, process_start=record.process_start - 100).write(_paths(config).snakemake)
    stop_run(config, lambda _: None)
    assert snakemake.poll() is None


def test_a_process_that_works_on_another_run_is_left_alone(config: Config, tmp_path: Path) -> None:
    """A record that somebody else has written can name any process of ours, with the time of its start."""
    other = _started(tmp_path / "results" / "other")
    try:
        _session_of(other.pid, config)
        said: list[str] = []
        stop_run(config, said.append)
        assert said[0] == "no Snakemake works on run demo"
        assert other.poll() is None
    finally:
        other.kill()
        other.communicate()


def test_a_snakemake_of_another_machine_is_named(config: Config, backend: FakeBackend) -> None:
    replace(SessionRecord(), machine="login2", pid=77).write(_paths(config).snakemake)
    write_json(_paths(config).session, {})
    with pytest.raises(UsageError, match="process 77 on login2"):
        stop_run(config, lambda _: None)
    assert backend.calls == []


def test_a_snakemake_that_does_not_end_is_told(
    config: Config, backend: FakeBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stopping, "PATIENCE_S", 0.1)
    stubborn = _started(config.folder, SNAKEMAKE.replace("sys.exit(1)", "signal.pause()"))
    try:
        _session_of(stubborn.pid, config)
        with pytest.raises(UsageError, match="has not ended within"):
            stop_run(config, lambda _: None)
        assert backend.calls == []
    finally:
        stubborn.kill()
        stubborn.wait()


def test_servers_are_not_stopped_under_a_snakemake_that_has_just_begun(config: Config, backend: FakeBackend) -> None:
    lock = HeldLock(Path(".snakemake") / "snakeval" / "demo.lock")
    assert lock.acquire()
    with pytest.raises(UsageError, match="has just begun"):
        stop_run(config, lambda _: None)
    assert backend.calls == []
    lock.release()
    stop_run(config, lambda _: None)
    assert backend.calls == ["stop a", "stop b"]
    assert lock.acquire(), "it was given back"
    lock.release()


def test_stopping_where_snakemake_never_ran_leaves_no_folder(config: Config, tmp_path: Path) -> None:
    stop_run(config, lambda _: None)
    assert not (tmp_path / ".snakemake").exists()


def test_a_stopped_deployment_is_not_started_again_in_its_session(
    config: Config, backend: FakeBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = _session_of(os.getpid(), config)
    files = _paths(config).server("a")
    said: list[str] = []
    for _ in range(2):
        stop_deployment(config, config.deployments[0], said.append)
    assert said[0] == "the server of a on 127.0.0.1:8000 has ended"
    assert "the next call of Snakemake runs them again" in said[1]
    assert not backend.state("a").lives
    monkeypatch.setenv(SESSION_VARIABLE, session.name)
    with pytest.raises(DeploymentError, match="stopped by `snakeval stop a`"):
        make_ready(config, config.deployments[0], make_task(), 1, 3, lambda _: None)
    assert not any(call.startswith("start") for call in backend.calls)
    refuse_stopped(_paths(config).server("b"), "b")
    monkeypatch.setenv(SESSION_VARIABLE, "the next one")
    refuse_stopped(files, "a")
    monkeypatch.delenv(SESSION_VARIABLE)
    refuse_stopped(files, "a")


def test_without_a_session_only_the_server_ends(config: Config, backend: FakeBackend) -> None:
    stop_deployment(config, config.deployments[0], lambda _: None)
    assert backend.calls == ["stop a"]
    assert not _paths(config).server("a").stopped.exists()


def test_a_server_that_was_just_being_started_is_stopped_too(
    config: Config, backend: FakeBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A job that looked before the mark was there holds the lock of the server until it has started it."""
    _session_of(os.getpid(), config)
    files = _paths(config).server("a")
    starting = HeldLock(files.lock)
    assert starting.acquire()
    naps = 0

    def nap(_: float) -> None:
        nonlocal naps
        naps += 1
        if naps == 1:
            backend.servers["a"] = READY
        elif naps == 2:
            starting.release()

    monkeypatch.setattr("snakeval.system.polling.time.sleep", nap)
    stop_deployment(config, config.deployments[0], lambda _: None)
    assert not backend.state("a").lives
    assert naps == 2


def test_a_running_harness_of_a_stopped_endpoint_ends(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    from snakeval.evaluation import watch as watching

    monkeypatch.setattr(watching, "LIVENESS_S", 0.0)
    monkeypatch.setenv(SESSION_VARIABLE, "now")
    paths = _paths(config)
    files = paths.server("there")
    Owner("now").write(paths.session)
    session = SessionWatch(paths.session)
    watch = watching.Watch(FakeBackend(), paths, {"there": None}, session, snakemake=None)
    watch.check()
    StopMark("now").write(files.stopped)
    with pytest.raises(DeploymentError, match="was stopped"):
        watch.check()
