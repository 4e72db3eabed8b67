"""Who uses a server right now: leases of tasks, heartbeats of processes, and the slots of one machine."""

import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from snakeval.run.paths import RunPaths
from snakeval.system.say import Say

HEARTBEAT_S = 2.0
STALE_S = 60.0
REPORT_S = 30.0


@contextmanager
def claim(paths: RunPaths, deployment: str, task: str) -> Iterator[None]:
    """Keep a heartbeat on the deployment's server while the block runs, so that it is not taken for idle."""
    file = _claim_file(paths, deployment, task)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.touch()
    ended = threading.Event()

    def beat() -> None:
        while not ended.wait(HEARTBEAT_S):
            file.touch()

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        file.unlink(missing_ok=True)


def await_predecessors(paths: RunPaths, deployment: str, task: str, say: Say) -> None:
    """Wait until no other process works on the task: one of a dead Snakemake ends when it sees its new owner."""
    own, reported = _claim_file(paths, deployment, task), time.monotonic()
    while others := [one for one in own.parent.glob(f"{task}@*") if one != own and _is_held_by_somebody(one)]:
        if time.monotonic() - reported >= REPORT_S:
            say(f"waiting for an earlier job of this task to end ({others[0].name})")
            reported = time.monotonic()
        time.sleep(1)


def is_held(paths: RunPaths, deployment: str) -> bool:
    """Return whether a lease or a living claim is on the deployment."""
    return bool(paths.leases(deployment)) or any(_is_fresh(file) for file in paths.server(deployment).claims.glob("*"))


def _claim_file(paths: RunPaths, deployment: str, task: str) -> Path:
    return paths.server(deployment).claims / f"{task}@{socket.gethostname()}.{os.getpid()}"


def _is_held_by_somebody(file: Path) -> bool:
    host, _, pid = file.name.rpartition("@")[2].rpartition(".")
    if host == socket.gethostname() and pid.isdecimal() and not psutil.pid_exists(int(pid)):
        file.unlink(missing_ok=True)
        return False
    return _is_fresh(file)


def _is_fresh(file: Path) -> bool:
    try:
        return time.time() - file.stat().st_mtime < STALE_S
    except FileNotFoundError:
        return False
