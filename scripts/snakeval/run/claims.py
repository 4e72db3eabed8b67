"""Who uses a server right now: the leases of tasks, and the heartbeats of the processes that need it."""

import os
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from snakeval.run.paths import RunPaths
from snakeval.run.server import is_fresh, is_in_use
from snakeval.system.periodic import Periodic
from snakeval.system.polling import Reminder, rounds
from snakeval.system.say import Say

HEARTBEAT_S = 2.0
POLL_S = 1.0
# Of any system; the question whether a larger one lives is an error.
LARGEST_PID = 2**31 - 1


@dataclass(frozen=True)
class Holder:
    """Who holds a claim, told by the name of the file `claims/<task>@<host>.<pid>`; the file itself is empty.

    Attributes:
        task: A task, or at an auxiliary deployment an `auxiliary_user`.
        host, pid: The process.
    """

    task: str
    host: str = field(default_factory=socket.gethostname)
    pid: int = field(default_factory=os.getpid)

    @property
    def file_name(self) -> str:
        """Return the name of its file."""
        return f"{self.task}@{self.host}.{self.pid}"

    @classmethod
    def of_file_name(cls, name: str) -> "Holder | None":
        """Return whom the name of a file tells of; None for a name of another form."""
        found = re.fullmatch(r"(.+)@([^@]+)\.([0-9]{1,10})", name, re.DOTALL)
        return cls(found[1], found[2], int(found[3])) if found and int(found[3]) <= LARGEST_PID else None


@contextmanager
def claim(paths: RunPaths, deployment: str, task: str) -> Iterator[None]:
    """Keep a heartbeat on the deployment's server while the block runs, so that it is not taken for idle."""
    file = _claim_file(paths, deployment, task)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.touch()
    try:
        with Periodic(file.touch, HEARTBEAT_S):
            yield
    finally:
        file.unlink(missing_ok=True)


def await_predecessors(paths: RunPaths, deployment: str, task: str, say: Say) -> None:
    """Wait until no other process works on the task: one of a dead Snakemake ends when it sees its new owner."""
    own, reminder = _claim_file(paths, deployment, task), Reminder(say)
    for _ in rounds(POLL_S):
        others = [one for one in own.parent.glob(f"{task}@*") if one != own and _is_held_by_somebody(one)]
        if not others:
            return
        reminder.remind(f"waiting for an earlier job of this task to end ({others[0].name})")


def is_held(paths: RunPaths, deployment: str) -> bool:
    """Return whether a lease or a living claim is on the deployment."""
    return bool(paths.leases(deployment)) or is_in_use(paths.server(deployment))


def _claim_file(paths: RunPaths, deployment: str, task: str) -> Path:
    return paths.server(deployment).claims / Holder(task).file_name


def _is_held_by_somebody(file: Path) -> bool:
    holder = Holder.of_file_name(file.name)
    if holder is not None and holder.host == socket.gethostname() and not psutil.pid_exists(holder.pid):
        file.unlink(missing_ok=True)
        return False
    return is_fresh(file)
