"""The supervisor on real processes: what it registers, what it restarts, and that nothing stays behind."""

import os
import shlex
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from snakeval.files import read_json
from snakeval.processes import processes_of
from workspace import REPOSITORY, eventually

TINY = REPOSITORY / "tests" / "fakes" / "tiny_server.py"
Start = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start a supervisor over the tiny server; end everything afterwards."""
    server_id = f"test-{os.getpid()}-{tmp_path.name}"

    def begin(*behaviour: str, idle_timeout_s: float = 60, max_restarts: int = 0) -> "subprocess.Popen[bytes]":
        serve = f'exec {shlex.quote(sys.executable)} {shlex.quote(str(TINY))} "$SNAKEVAL_PORT" {" ".join(behaviour)}'
        command = [sys.executable, str(REPOSITORY / "scripts" / "supervise.py")]
        command += ["--folder", str(tmp_path), "--server-id", server_id, "--host", "127.0.0.1"]
        command += ["--advertise", "127.0.0.1", "--health-path", "/health"]
        command += ["--idle-timeout-s", str(idle_timeout_s), "--max-restarts", str(max_restarts)]
        return subprocess.Popen(
            [*command, "--", "bash", "-c", serve], env=os.environ | {"SNAKEVAL_SERVER_ID": server_id}
        )

    yield begin
    for process in processes_of(server_id):
        process.kill()


def _state(folder: Path) -> dict[str, Any]:
    return read_json(folder / "state.json") or {}


def _wait_for(folder: Path, state: str, generation: int = 1) -> dict[str, Any]:
    def reached() -> dict[str, Any] | None:
        now = _state(folder)
        return now if (now.get("state"), now.get("generation")) == (state, generation) else None

    return dict(eventually(reached, 30, f"{state} {generation}, now {_state(folder)}"))


def _kill_server(folder: Path, how: str) -> None:
    state = _state(folder)
    if how == "request":
        with pytest.raises((urllib.error.URLError, ConnectionError)):
            urllib.request.urlopen(f"http://127.0.0.1:{state['port']}/die", timeout=10)
    else:
        os.kill(state["pid"], signal.SIGKILL)


def test_registers_the_address_that_answers(start: Start, tmp_path: Path) -> None:
    supervisor = start()
    state = _wait_for(tmp_path, "READY")
    with urllib.request.urlopen(f"http://{state['host']}:{state['port']}/health", timeout=10) as response:
        assert response.status == 200
    assert state["supervisor_pid"] == supervisor.pid


def test_ends_detached_children_too(start: Start, tmp_path: Path) -> None:
    supervisor = start("detach")
    server_id = _wait_for(tmp_path, "READY")["server_id"]
    eventually(lambda: len(processes_of(server_id)) == 3, what="supervisor, server and its detached child")
    supervisor.terminate()
    assert supervisor.wait(timeout=30) == 0
    assert processes_of(server_id) == []
    assert _state(tmp_path)["state"] == "STOPPED"


@pytest.mark.parametrize("how", ["request", "kill"])
def test_restarts_a_server_that_had_been_ready(start: Start, tmp_path: Path, how: str) -> None:
    supervisor = start(max_restarts=1)
    _wait_for(tmp_path, "READY", 1)
    _kill_server(tmp_path, how)
    assert _wait_for(tmp_path, "READY", 2)["restarts"] == 1
    _kill_server(tmp_path, how)
    assert supervisor.wait(timeout=30) == 1
    state = _state(tmp_path)
    assert state["state"] == "FAILED"
    expected = {"request": "the server ended with status 4", "kill": "the server was killed by SIGKILL"}
    assert state["reason"] == expected[how]


def test_does_not_restart_what_never_was_ready(start: Start, tmp_path: Path) -> None:
    supervisor = start("refuse", max_restarts=5)
    assert supervisor.wait(timeout=30) == 1
    assert _state(tmp_path)["reason"] == "the server ended with status 3"
    assert _state(tmp_path)["generation"] == 1


def test_ends_when_nobody_uses_it_and_lives_while_somebody_does(start: Start, tmp_path: Path) -> None:
    supervisor = start(idle_timeout_s=3)
    _wait_for(tmp_path, "READY")
    claim = tmp_path / "claims" / "task.1"
    claim.parent.mkdir()
    beats = 0

    def beaten() -> bool:
        nonlocal beats
        claim.touch()
        beats += 1
        assert supervisor.poll() is None
        return beats > 60  # 0.1 s apart: twice the idle time

    eventually(beaten)
    assert supervisor.wait(timeout=30) == 0
    assert _state(tmp_path)["reason"] == "idle for 3 s"


def test_server_does_not_outlive_a_killed_supervisor(start: Start, tmp_path: Path) -> None:
    supervisor = start()
    server_id = _wait_for(tmp_path, "READY")["server_id"]
    supervisor.kill()
    supervisor.wait(timeout=10)
    eventually(lambda: processes_of(server_id) == [], 10, "the server's end")
