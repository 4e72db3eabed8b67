"""The supervisor on real processes: what it registers, what it restarts, and that nothing stays behind."""

import os
import secrets
import shlex
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from snakeval.run.paths import ServerPaths
from snakeval.run.server import Secrets, present_access
from snakeval.system.files import read_json
from snakeval.system.ports import hold_port
from snakeval.system.processes import Mark, processes_of
from workspace import REPOSITORY, eventually

TINY = REPOSITORY / "tests" / "fakes" / "tiny_server.py"
Start = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start a supervisor over the tiny server; end everything afterwards."""
    mark = Mark.of(_folder(tmp_path), secrets.token_hex(8))

    def begin(
        *behaviour: str,
        idle_timeout_s: float = 60,
        max_restarts: int = 0,
        options: tuple[str, ...] = (),
        **environ: str,
    ) -> "subprocess.Popen[bytes]":
        serve = f'exec {shlex.quote(sys.executable)} {shlex.quote(str(TINY))} "$SNAKEVAL_PORT" {" ".join(behaviour)}'
        command = [sys.executable, str(REPOSITORY / "scripts" / "programs" / "supervise.py")]
        command += ["--folder", str(_folder(tmp_path)), "--server-id", mark.server_id, "--host", "127.0.0.1"]
        command += ["--advertise", "127.0.0.1", "--health-path", "/health"]
        command += ["--idle-timeout-s", str(idle_timeout_s), "--max-restarts", str(max_restarts)]
        return subprocess.Popen(
            [*command, *options, "--", "bash", "-c", serve],
            env=os.environ | environ | mark.variables,
        )

    yield begin
    for process in processes_of(mark):
        process.kill()


def _folder(run: Path) -> Path:
    folder = run / "tiny" / "server"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _state(run: Path) -> dict[str, Any]:
    return read_json(_folder(run) / "state.json") or {}


def _mark(run: Path, state: dict[str, Any]) -> Mark:
    return Mark.of(_folder(run), state["server_id"])


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
    mark = _mark(tmp_path, _wait_for(tmp_path, "READY"))
    eventually(lambda: len(processes_of(mark)) == 3, what="supervisor, server and its detached child")
    supervisor.terminate()
    assert supervisor.wait(timeout=30) == 0
    assert processes_of(mark) == []
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


def test_each_process_of_a_server_has_a_key_of_its_own_and_is_reached_by_it(start: Start, tmp_path: Path) -> None:
    files = ServerPaths(_folder(tmp_path))
    Secrets({"A": "x"}, {}).write(files.secrets)
    start(max_restarts=1)
    keys = []
    for generation in (1, 2):
        state = _wait_for(tmp_path, "READY", generation)
        access = present_access(files, {})
        assert access is not None
        assert (access.generation, access.address) == (generation, f"http://127.0.0.1:{state['port']}")
        environ = psutil.Process(state["pid"]).environ()
        assert (environ["SNAKEVAL_API_KEY"], environ["A"]) == (access.key, "x")
        keys.append(access.key)
        _kill_server(tmp_path, "kill")
        eventually(lambda: _state(tmp_path)["state"] != "READY", 10, "its end on record")
        assert present_access(files, {}) is None
    assert keys[0] != keys[1]


def test_nobody_gets_the_port_while_no_server_lives(start: Start, tmp_path: Path) -> None:
    supervisor = start(max_restarts=2)
    port = _wait_for(tmp_path, "READY")["port"]
    _kill_server(tmp_path, "kill")
    _wait_for(tmp_path, "STARTING")
    supervisor.send_signal(signal.SIGSTOP)
    assert _state(tmp_path)["generation"] == 1
    for _ in range(20):
        assert hold_port("127.0.0.1", port) is None
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=5)
    supervisor.send_signal(signal.SIGCONT)
    assert _wait_for(tmp_path, "READY", 2)["port"] == port


def test_another_port_is_taken_where_somebody_has_got_it(start: Start, tmp_path: Path) -> None:
    supervisor = start(max_restarts=1)
    state = _wait_for(tmp_path, "READY")
    supervisor.send_signal(signal.SIGSTOP)
    _kill_server(tmp_path, "kill")
    eventually(lambda: hold_port("127.0.0.1", state["port"]), 10, "the port of the dead server")
    with socket.create_server(("127.0.0.1", state["port"])) as neighbour:
        supervisor.send_signal(signal.SIGCONT)
        assert _wait_for(tmp_path, "READY", 2)["port"] != neighbour.getsockname()[1]


def test_says_again_and_again_that_the_server_lives(start: Start, tmp_path: Path) -> None:
    start(max_restarts=1)
    began = time.time()
    _wait_for(tmp_path, "READY")
    first = eventually(lambda: _state(tmp_path).get("alive_at"), 20, "a sign of life")
    assert first >= began
    second = eventually(lambda: _state(tmp_path)["alive_at"] > first and _state(tmp_path)["alive_at"], 20, "another")
    _kill_server(tmp_path, "kill")
    _wait_for(tmp_path, "STARTING")
    assert _state(tmp_path)["alive_at"] <= time.time()
    assert second > first


def test_does_not_restart_what_never_was_ready(start: Start, tmp_path: Path) -> None:
    supervisor = start("refuse", max_restarts=5)
    assert supervisor.wait(timeout=30) == 1
    assert _state(tmp_path)["reason"] == "the server ended with status 3"
    assert _state(tmp_path)["generation"] == 1


def test_ends_when_nobody_uses_it_and_lives_while_somebody_does(start: Start, tmp_path: Path) -> None:
    supervisor = start(idle_timeout_s=3)
    _wait_for(tmp_path, "READY")
    claim = _folder(tmp_path) / "claims" / "task.1"
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
    mark = _mark(tmp_path, _wait_for(tmp_path, "READY"))
    supervisor.kill()
    supervisor.wait(timeout=10)
    eventually(lambda: processes_of(mark) == [], 10, "the server's end")


def test_ends_when_the_snakemake_that_owned_the_run_is_dead(start: Start, tmp_path: Path) -> None:
    """Also while orphaned tasks go on claiming it."""
    session = tmp_path / "session.json"
    session.touch()
    supervisor = start(idle_timeout_s=3)
    _wait_for(tmp_path, "READY")
    claim = _folder(tmp_path) / "claims" / "task.1"
    claim.parent.mkdir()
    beats = 0

    def beaten() -> bool:
        nonlocal beats
        claim.touch()
        session.touch()
        beats += 1
        assert supervisor.poll() is None
        return beats > 60  # 0.1 s apart: twice the idle time

    def ended() -> bool:
        claim.touch()
        return supervisor.poll() is not None

    eventually(beaten)
    eventually(ended, 30)
    assert _state(tmp_path)["reason"] == "no sign of life of Snakemake for 3 s"


@pytest.fixture
def scontrol(tmp_path: Path) -> dict[str, str]:
    """A stand-in scontrol that notes how it was called, and the environment of a Slurm job that finds it."""
    program = tmp_path / "bin" / "scontrol"
    program.parent.mkdir()
    program.write_text(f'#!/bin/bash\necho "$@" >>{shlex.quote(str(tmp_path / "calls"))}\n', encoding="utf-8")
    program.chmod(0o755)
    return {"PATH": f"{program.parent}:{os.environ['PATH']}", "SLURM_JOB_ID": "7"}


def _warn(start: Start, run: Path, environ: dict[str, str], *options: str) -> "subprocess.Popen[bytes]":
    """Start a server in a Slurm job, wait until it is ready, and warn it as Slurm does before the time limit."""
    _folder(run).joinpath("secrets.json").write_text("{}")
    supervisor = start(options=("--drain-s", "600", *options), **environ)
    _wait_for(run, "READY")
    supervisor.send_signal(signal.SIGUSR1)
    return supervisor


def test_goes_back_into_the_queue_when_the_running_tasks_have_ended(
    start: Start, tmp_path: Path, scontrol: dict[str, str]
) -> None:
    claim, lease = _folder(tmp_path) / "claims" / "task.1", tmp_path / "tiny" / "sums" / "lease.json"
    for file in (claim, lease):
        file.parent.mkdir()
        file.touch()
    supervisor = _warn(start, tmp_path, scontrol, "--requeue")
    state = _wait_for(tmp_path, "DRAINING")
    with urllib.request.urlopen(f"http://{state['host']}:{state['port']}/health", timeout=10) as response:
        assert response.status == 200
    assert supervisor.poll() is None
    claim.unlink()
    assert supervisor.wait(timeout=30) == 0
    assert _state(tmp_path)["state"] == "PENDING"
    assert (tmp_path / "calls").read_text() == "requeue 7\n"
    assert (_folder(tmp_path) / "secrets.json").exists()
    # What Slurm then begins again is a later incarnation of the same server.
    start(options=("--drain-s", "600", "--requeue"), **scontrol, SLURM_RESTART_COUNT="1")
    state = _wait_for(tmp_path, "READY", 2)
    assert state["incarnation"] == 1
    assert state["used_s"] > 0


@pytest.mark.parametrize(
    ("options", "leased", "state", "reason"),
    [
        (["--requeue"], False, "STOPPED", "its job's time is over and no task needs it"),
        ([], True, "FAILED", "its job's time (execution.walltime) is over"),
        (["--requeue", "--max-walltime-s", "0.1"], True, "FAILED", "execution.max_walltime is used up ("),
    ],
)
def test_ends_at_its_time_where_it_cannot_or_need_not_come_back(
    start: Start, tmp_path: Path, scontrol: dict[str, str], options: list[str], leased: bool, state: str, reason: str
) -> None:
    if leased:
        (tmp_path / "tiny" / "sums").mkdir(parents=True)
        (tmp_path / "tiny" / "sums" / "lease.json").touch()
    supervisor = _warn(start, tmp_path, scontrol, *options)
    supervisor.wait(timeout=30)
    assert _state(tmp_path)["state"] == state
    assert _state(tmp_path)["reason"].startswith(reason)
    assert not (tmp_path / "calls").exists()
    assert not (_folder(tmp_path) / "secrets.json").exists()


def test_keeps_the_key_when_slurm_may_begin_the_job_again(
    start: Start, tmp_path: Path, scontrol: dict[str, str]
) -> None:
    _folder(tmp_path).joinpath("secrets.json").write_text("{}")
    supervisor = start(options=("--requeue",), **scontrol)
    _wait_for(tmp_path, "READY")
    supervisor.terminate()
    assert supervisor.wait(timeout=30) == 0
    assert (_state(tmp_path)["state"], _state(tmp_path)["reason"]) == ("DRAINING", "stopped by SIGTERM")
    assert (_folder(tmp_path) / "secrets.json").exists()


def test_a_superseded_supervisor_ends_and_leaves_the_record_alone(
    start: Start, tmp_path: Path, scontrol: dict[str, str]
) -> None:
    """A node that was lost and came back must not disturb what was started elsewhere meanwhile."""
    old = start(options=("--requeue",), **scontrol)
    _wait_for(tmp_path, "READY")
    start(options=("--requeue",), **scontrol, SLURM_RESTART_COUNT="1")
    new = _wait_for(tmp_path, "READY", 2)
    assert old.wait(timeout=30) == 0
    assert {**_state(tmp_path), "alive_at": None} == {**new, "alive_at": None}
