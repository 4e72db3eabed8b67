"""What Slurm says of jobs: one squeue for all, read into rows. Facts: squeue(1) of 22.05 and later."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from snakeval.errors import DeploymentError
from snakeval.run.record import Moment, Record
from snakeval.run.server import ServerRecord, ServerState
from snakeval.system.files import HeldLock
from snakeval.system.slurm import call

QUERY_EVERY_S = 3.0
STALE_S = 15.0
CLOCK_SKEW_S = 2.0
FIELDS = "JobID:|,State:|,Reason:|,RestartCnt:|,NodeList:|,Name:|"
WAITING = ("PENDING", "CONFIGURING", "REQUEUED", "REQUEUE_HOLD", "REQUEUE_FED", "SUSPENDED", "RESV_DEL_HOLD")
# Reasons for which Slurm keeps a job in the queue that it can never start (squeue(1), JOB REASON CODES).
HOPELESS = (
    "BadConstraints",
    "InvalidAccount",
    "InvalidQOS",
    "PartitionNodeLimit",
    "PartitionTimeLimit",
    "JobHeldAdmin",
    "launch_failed_requeued_held",
)
# squeue lists ended jobs too for a while (MinJobAge, 5 minutes by default).
ENDED = (
    "BOOT_FAIL",
    "CANCELLED",
    "COMPLETED",
    "DEADLINE",
    "FAILED",
    "NODE_FAIL",
    "OUT_OF_MEMORY",
    "PREEMPTED",
    "REVOKED",
    "TIMEOUT",
)
# Those of them that are no doing of what runs in the job.
BY_SLURM = tuple(state for state in ENDED if state not in ("COMPLETED", "FAILED"))


@dataclass(frozen=True)
class JobRow:
    """One line of squeue.

    Attributes:
        restarts: How often Slurm has put the job back into the queue; counts as soon as the old incarnation ends.
        nodes: Where it runs, in Slurm's list notation; empty before.
    """

    job_id: str
    state: str
    reason: str
    restarts: int
    nodes: str
    name: str

    @property
    def has_ended(self) -> bool:
        """Whether the job is over for good."""
        return self.state in ENDED


@dataclass(frozen=True)
class Answer(Record):
    """`.queue.json`: what squeue said last of a run's jobs.

    Attributes:
        at: When it was asked, seconds since the epoch.
        rows: All jobs.
    """

    at: Moment
    rows: tuple[JobRow, ...]


def parse_squeue(text: str) -> dict[str, JobRow]:
    """Return the jobs of `squeue --Format=<FIELDS>` by their id; lines of another form are left out."""
    rows = {}
    for line in text.splitlines():
        parts = line.strip().split("|", 5)
        if len(parts) == 6 and parts[0] and parts[3].isdecimal():
            job_id, state, reason, restarts, nodes, name = parts
            rows[job_id] = JobRow(job_id, state, reason, int(restarts), nodes, name.removesuffix("|"))
    return rows


class SharedQueue:
    """The jobs of a run, asked for once for all of its processes, on whichever machine they watch.

    Args:
        file: Where the last answer of squeue stands.
        names: Names of the jobs.
    """

    def __init__(self, file: Path, names: Sequence[str]) -> None:
        self._file = file
        self._names = names

    def rows(self, since: float = 0.0) -> dict[str, JobRow]:
        """Return what squeue says, at most `QUERY_EVERY_S` old, or `STALE_S` where another process is just asking.

        Args:
            since: When the latest job was submitted, in seconds since the epoch; older answers do not know it.

        Raises:
            DeploymentError: Slurm does not answer; that says nothing about the jobs.
        """
        known = self._known(QUERY_EVERY_S, since)
        if known is not None:
            return known
        asking = HeldLock(self._file.with_suffix(".lock"))
        try:
            alone = asking.acquire()
        except OSError:
            # Somebody looks at a run whose folder is not theirs to write.
            return query(self._names)
        if not alone:
            known = self._known(STALE_S, since)
            return known if known is not None else query(self._names)
        try:
            known = self._known(QUERY_EVERY_S, since)
            if known is None:
                now = time.time()
                known = query(self._names)
                Answer(now, tuple(known.values())).write(self._file)
            return known
        finally:
            asking.release()

    def forget(self) -> None:
        """Have squeue asked again, because the queue has just been changed."""
        self._file.unlink(missing_ok=True)

    def _known(self, age_s: float, since: float) -> dict[str, JobRow] | None:
        answer = Answer.read(self._file)
        # The clock of the machine that asked may differ from ours.
        if answer is None or abs(time.time() - answer.at) > age_s or answer.at < since + CLOCK_SKEW_S:
            return None
        return {row.job_id: row for row in answer.rows}


def query(names: Sequence[str]) -> dict[str, JobRow]:
    """Ask for all jobs of these names, of this user, in one call. Jobs that ended a moment ago are among the answers.

    Raises:
        DeploymentError: Slurm does not answer; that says nothing about the jobs.
    """
    done = call(["squeue", "--noheader", "--me", "--states=all", f"--name={','.join(names)}", f"--Format={FIELDS}"])
    if done.returncode != 0:
        raise DeploymentError(f"squeue does not answer: {done.stderr.strip()}")
    return parse_squeue(done.stdout)


def joined(record: ServerRecord, row: JobRow | None) -> tuple[ServerState, str | None]:
    """Return the state of a server, and why: what its supervisor has registered, corrected by what Slurm says.

    Args:
        record: The state file of a server that has neither stopped nor failed.
        row: Its job; None when Slurm no longer knows it.
    """
    job = f"its Slurm job {record.job_id}"
    if row is None:
        return ServerState.FAILED, f"{job} is gone"
    if row.has_ended:
        return ServerState.FAILED, f"{job} has ended as {row.state}"
    if row.state in WAITING and row.reason in HOPELESS:
        return ServerState.FAILED, f"{job} can never start: {row.reason}"
    requeued = row.restarts > record.incarnation
    if row.state in WAITING or (row.state == "COMPLETING" and requeued):
        return ServerState.PENDING, f"{job} was put back into the queue: {row.reason}" if requeued else row.reason
    if row.state == "COMPLETING":
        return ServerState.FAILED, f"{job} is ending"
    if requeued:
        return ServerState.STARTING, f"{job} has begun again"
    if record.state is ServerState.PENDING and not record.generation:
        return ServerState.STARTING, record.reason
    return record.state, record.reason
