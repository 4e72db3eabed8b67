"""Which Snakemake works on a run, or was the last to do so: `snakemake.json` in the folder of the run."""

import os
import socket
import time
from dataclasses import dataclass, field, replace
from pathlib import Path

import psutil

from snakeval.errors import DeploymentError
from snakeval.run.heartbeat import SILENCE_S
from snakeval.run.paths import RunPaths, ServerPaths, run_locks
from snakeval.run.record import Moment, Pid, Record
from snakeval.system.files import HeldLock
from snakeval.system.processes import SESSION_VARIABLE, is_alive, opened

SUCCEEDED = "succeeded"
FAILED = "failed"
INTERRUPTED = "interrupted"


@dataclass(frozen=True)
class SessionRecord(Record):
    """One call of Snakemake on one run.

    Attributes:
        machine, pid, process_start: Its process (start in seconds since the epoch).
        directory: Its working directory, absolute.
        began_at, ended_at: Seconds since the epoch; `ended_at` is None while it runs, and when it was killed.
        outcome: "succeeded", "failed" or "interrupted"; None as for `ended_at`.
        silent: Whether its sign of life has stopped; looked at when the record is read.
    """

    machine: str = field(default_factory=socket.gethostname)
    pid: Pid = field(default_factory=os.getpid)
    process_start: float = field(default_factory=lambda: float(psutil.Process().create_time()))
    directory: str = field(default_factory=lambda: str(Path.cwd()))
    began_at: Moment = field(default_factory=time.time)
    ended_at: Moment | None = None
    outcome: str | None = None
    silent: bool = False

    @property
    def name(self) -> str:
        """What its jobs know it by, in the variable SNAKEVAL_SESSION."""
        return f"{self.machine}-{self.pid}-{self.process_start}"

    @property
    def is_here(self) -> bool:
        """Whether it runs, or ran, on this machine."""
        return self.machine == socket.gethostname()

    @property
    def lives(self) -> bool:
        """Whether it works on the run: looked up on this machine, told by its sign of life on others."""
        if self.ended_at is not None:
            return False
        return is_alive(self.pid, self.process_start) if self.is_here else not self.silent


@dataclass(frozen=True)
class StopMark(Record):
    """`stopped.json`: a user has stopped the deployment in a session, which starts its server no more.

    Attributes:
        session: Name of the session.
        at: Seconds since the epoch.
    """

    session: str
    at: Moment = field(default_factory=time.time)


def read_session(paths: RunPaths) -> SessionRecord | None:
    """Return the record of the run and whether it is silent now, None when there is none."""
    record = SessionRecord.read(paths.snakemake)
    return None if record is None else replace(record, silent=_is_silent(paths))


def keep_run_open(paths: RunPaths) -> int:
    """Open the folder of the run and return the descriptor: by that `works_on` knows this process."""
    return os.open(paths.root, os.O_RDONLY | os.O_DIRECTORY)


def works_on(session: SessionRecord, paths: RunPaths) -> bool:
    """Return whether the process that a record names is at work on this run, whatever the record says.

    What runs on another machine cannot be looked at, and is never signalled from here.
    """
    return not session.is_here or str(paths.root.resolve()) in opened(session.pid)


def _is_silent(paths: RunPaths) -> bool:
    """Whether the file that a living session touches is gone, or was touched long ago."""
    try:
        return time.time() - paths.session.stat().st_mtime > SILENCE_S
    except OSError:
        return True


def refuse_stopped(files: ServerPaths, deployment: str) -> None:
    """Raise DeploymentError when a user has stopped the deployment in the session that this job belongs to."""
    mark = StopMark.read(files.stopped)
    session = os.environ.get(SESSION_VARIABLE)
    if mark is not None and session and mark.session == session:
        raise DeploymentError(
            f"{deployment} was stopped by `snakeval stop {deployment}`; the next call of Snakemake runs its tasks again"
        )


def others_at_work(state_dir: Path, run: str) -> list[str]:
    """Return the other runs of this working directory that a Snakemake works on right now."""
    busy = []
    for file in run_locks(state_dir):
        lock = HeldLock(file)
        if file.stem != run and not lock.acquire():
            busy.append(file.stem)
        lock.release()
    return busy
