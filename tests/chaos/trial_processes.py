"""The processes of a trial, by a mark in their environment, and what each of them is."""

import contextlib
import os
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workspace import REPOSITORY

MARK = "CHAOS_TRIAL"
RULES = REPOSITORY / "scripts" / "rules"
SUPERVISOR = REPOSITORY / "scripts" / "programs" / "supervise.py"
# Snakemake runs a copy of a rule's script, whose name ends as the script's does.
ROLES: Mapping[Path, str] = {
    SUPERVISOR: "supervisor",
    RULES / "evaluate.py": "job",
    RULES / "ready.py": "ready",
    RULES / "aggregate.py": "collector",
    RULES / "report.py": "collector",
}
ABOVE: Mapping[str, str] = {"server": "supervisor", "harness": "job"}


@dataclass(frozen=True)
class Process:
    """One living process of a trial."""

    pid: int
    parent: int
    words: tuple[str, ...]

    @property
    def role(self) -> str:
        """What it does in the run."""
        line = " ".join(self.words)
        for script, role in ROLES.items():
            if str(script) in line or f".{script.name}" in line:
                return role
        return "other"

    def __str__(self) -> str:
        return f"{self.pid} {' '.join(self.words)[:150]}"


def check_roles() -> None:
    """Refuse to begin when a script that a role is known by is not there any more."""
    if gone := [str(script) for script in ROLES if not script.is_file()]:
        raise SystemExit(f"chaos knows processes by scripts that are gone: {', '.join(gone)}; see {__file__}")


def processes_of(mark: str) -> dict[int, Process]:
    """Return every living process of a trial, wherever it has been reparented."""
    found = {}
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit() or int(folder.name) == os.getpid():
            continue
        try:
            if f"{MARK}={mark}\0".encode() not in (folder / "environ").read_bytes():
                continue
            state, parent = (folder / "stat").read_text().rpartition(")")[2].split()[:2]
            words = (folder / "cmdline").read_bytes().decode(errors="replace").split("\0")
        except OSError:
            continue
        if state != "Z":
            found[int(folder.name)] = Process(int(folder.name), int(parent), tuple(words))
    return found


def victims_of(mark: str, role: str) -> list[int]:
    """Return the process ids of a role: a server is the child of a supervisor, a harness that of a job."""
    there = processes_of(mark)
    if above := ABOVE.get(role):
        return [one.pid for one in there.values() if one.parent in there and there[one.parent].role == above]
    return [one.pid for one in there.values() if one.role == role]


def send(pid: int, number: int) -> None:
    """Send a signal to a process that may have ended."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def end_all(mark: str) -> None:
    """Kill every process of a trial."""
    for pid in processes_of(mark):
        send(pid, signal.SIGKILL)


def wait_until(true: Callable[[], Any], seconds: float) -> bool:
    """Wait for a condition; return whether it came true in time."""
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() >= deadline:
            return False
        time.sleep(0.1)
    return True
