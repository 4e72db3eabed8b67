"""What the main Snakemake process does around the DAG, and that it touches nothing of another run or process."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from builders import make_config, make_deployment
from fake_backend import FakeBackend
from snakeval.config.model import Config
from snakeval.run.heartbeat import SessionWatch
from snakeval.run.paths import RunPaths
from snakeval.system.files import HeldLock, write_json, write_text
from snakeval.system.processes import SESSION_VARIABLE
from snakeval.workflow import session
from snakeval.workflow.session import ENDING_SIGNALS, Session
from workspace import REPOSITORY


@pytest.fixture(autouse=True)
def backend(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeBackend]:
    """Put a fake in place of the backend; signals and environment are restored."""
    fake = FakeBackend()
    monkeypatch.setattr(session, "backend_of", lambda _: fake)
    monkeypatch.setenv(SESSION_VARIABLE, "before")
    handlers = {number: signal.getsignal(number) for number in ENDING_SIGNALS}
    yield fake
    for number, handler in handlers.items():
        signal.signal(number, handler)


@pytest.fixture
def config(tmp_path: Path) -> Config:
    deployments = [make_deployment("a"), make_deployment("there", type="none"), make_deployment("b", type="llamacpp")]
    return make_config(tmp_path / "results", deployments)


@pytest.fixture
def state_dir(tmp_path: Path) -> Path:
    return tmp_path / ".snakemake"


def _lease(config: Config, run: str = "demo") -> Path:
    lease = RunPaths(config.execution.output_dir / run).task("a", "sums").lease
    write_json(lease, {})
    return lease


def _lock(config: Config, state_dir: Path, name: str, *files: str) -> Path:
    """Write a lock as Snakemake does: one file of the working directory a line."""
    path = state_dir / "locks" / name
    write_text(path, "".join(f"{file}\n" for file in files))
    return path


def _begin_and_end(config: Config, state_dir: Path) -> None:
    one = Session(config, state_dir)
    one.begin(attempts=1)
    one.end()


def test_recover_drops_what_a_dead_call_of_this_run_left(config: Config, state_dir: Path) -> None:
    results = config.execution.output_dir
    ours, others = _lease(config), [_lease(config, "demo2"), _lease(config, "dem")]
    outputs = _lock(config, state_dir, "0.output.lock", f"{results}/demo/a/sums/result.json")
    inputs = _lock(config, state_dir, "0.input.lock", "config/config.yaml", f"{results}/demo/a/server/deployment.json")
    foreign = [
        _lock(config, state_dir, "1.output.lock", f"{results}/demo2/a/sums/result.json"),
        _lock(config, state_dir, "1.input.lock", "config/config.yaml", f"x{results}/demo/summary.json"),
        _lock(config, state_dir, "2.output.lock"),
        _lock(config, state_dir, "2.txt", f"{results}/demo/a/sums/result.json"),
    ]
    Session(config, state_dir).recover()
    assert not any(path.exists() for path in (ours, outputs, inputs))
    assert all(path.exists() for path in (*others, *foreign))
    # The lock of the run itself is free again.
    _begin_and_end(config, state_dir)


def test_recover_needs_nothing_to_be_there(config: Config, state_dir: Path) -> None:
    Session(config, state_dir).recover()
    Session(config, state_dir).recover()


def test_recover_does_nothing_while_another_process_works_on_the_run(config: Config, state_dir: Path) -> None:
    lease = _lease(config)
    lock = _lock(config, state_dir, "0.output.lock", f"{config.execution.output_dir}/demo/a/sums/result.json")
    other = HeldLock(state_dir / "snakeval" / "demo.lock")
    assert other.acquire()
    Session(config, state_dir).recover()
    assert lease.exists()
    assert lock.exists()
    other.release()
    Session(config, state_dir).recover()
    assert not lease.exists()
    assert not lock.exists()


def test_begin_owns_the_run(config: Config, state_dir: Path) -> None:
    first, second = Session(config, state_dir), Session(config, state_dir)
    first.begin(attempts=1)
    session = f"{socket.gethostname()}-{os.getpid()}-{psutil.Process().create_time()}"
    assert os.environ[SESSION_VARIABLE] == session
    assert SessionWatch(RunPaths(config.folder).session).ended() is None
    assert all(signal.getsignal(number) == first._interrupt for number in ENDING_SIGNALS)
    with pytest.raises(RuntimeError, match="another Snakemake is working on run demo"):
        second.begin(attempts=1)
    lease = _lease(config)
    for one in (first, second):
        one.recover()
        assert lease.exists()
    first.end()
    second.begin(attempts=1)
    second.end()


def test_runs_do_not_exclude_each_other(config: Config, state_dir: Path) -> None:
    other = Session(make_config(config.execution.output_dir, run="demo2"), state_dir)
    ours = Session(config, state_dir)
    ours.begin(attempts=1)
    other.begin(attempts=1)
    other.end()
    ours.end()


def test_end_stops_servers_and_drops_leases_and_may_be_called_twice(
    config: Config, state_dir: Path, backend: FakeBackend
) -> None:
    ours, other = _lease(config), _lease(config, "demo2")
    one = Session(config, state_dir)
    one.begin(attempts=1)
    for calls in (1, 2):
        one.end()
        # An endpoint that was there before is not ours to stop.
        assert backend.calls == ["stop a", "stop b"] * calls
        assert not ours.exists()
        assert other.exists()
        assert all(signal.getsignal(number) is session._ignore for number in ENDING_SIGNALS)
    _begin_and_end(config, state_dir)


def test_a_signal_ends_the_jobs_until_the_end(config: Config, state_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also a job that begins after the signal, and without taking the jobs' exit statuses away."""
    monkeypatch.setattr(session, "ENDING_S", 0.01)
    one = Session(config, state_dir)
    one.begin(attempts=1)
    first = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGTERM)
    second = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    signal.raise_signal(signal.SIGINT)
    assert first.wait(timeout=20) == second.wait(timeout=20) == -signal.SIGTERM
    one.end()
    third = subprocess.Popen([sys.executable, "-c", "pass"])
    assert third.wait(timeout=20) == 0


def test_recover_puts_damaged_results_aside(config: Config, state_dir: Path) -> None:
    paths = RunPaths(config.folder)
    for task, text in {"empty": "", "object": "{}", "text": "{]"}.items():
        write_text(paths.task("a", task).result, text)
    whole = next((REPOSITORY / "tests" / "fixtures" / "results-0.1").glob("*/*/*/result.json"))
    write_text(paths.task("a", "whole").result, whole.read_text(encoding="utf-8"))
    Session(config, state_dir).recover()
    left = {task: paths.task("a", task).result.exists() for task in ("empty", "object", "text", "whole")}
    assert left == {"empty": False, "object": False, "text": False, "whole": True}
    assert paths.task("a", "text").damaged_result.read_text(encoding="utf-8") == "{]"
