"""The Slurm job in which a supervisor runs: its incarnation, the end of its time, and what happens then."""

import os
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from snakeval.run.server import ServerState

COMMAND_TIMEOUT_S = 60
# What ending the server and going back into the queue need of the job's last seconds.
RESERVE_S = 20.0


@dataclass(frozen=True)
class BatchJob:
    """The job that we are in; sbatch(1) tells its environment.

    Attributes:
        job_id: Stays the same when the job is requeued.
        restarts: How often it was requeued so far.
    """

    job_id: str
    restarts: int

    @classmethod
    def of_environment(cls, environ: Mapping[str, str]) -> "BatchJob | None":
        """Return the job, None outside of one."""
        job_id = environ.get("SLURM_JOB_ID")
        return cls(job_id, int(environ.get("SLURM_RESTART_COUNT", "0"))) if job_id else None

    def requeue(self) -> str | None:
        """Put the job back into the queue, which ends this incarnation; return Slurm's words when it refuses."""
        command = ["scontrol", "requeue", self.job_id]
        try:
            done = subprocess.run(
                command, env=dict(os.environ), capture_output=True, text=True, timeout=COMMAND_TIMEOUT_S, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            return str(error)
        return None if done.returncode == 0 else done.stderr.strip()


@dataclass
class Walltime:
    """How a job's time limit is met.

    Attributes:
        job: The job, None outside of one.
        requeues: Whether it goes back into the queue when its time is over.
        drain_s: Seconds before its end at which Slurm warns it; Slurm may do so up to 60 s earlier.
        max_s: Seconds that all incarnations together may take, None without a bound.
        used_before_s: Seconds that earlier incarnations took.
    """

    job: BatchJob | None
    requeues: bool
    drain_s: float
    max_s: float | None
    used_before_s: float
    warned: float | None = None
    begun: float = field(default_factory=time.monotonic)

    def on_warning(self, _number: int, _frame: object) -> None:
        """Take SIGUSR1, Slurm's warning."""
        self.warned = self.warned or time.monotonic()

    @property
    def used_s(self) -> float:
        """Return the seconds of all incarnations so far."""
        return round(self.used_before_s + time.monotonic() - self.begun, 1)

    @property
    def comes_back(self) -> bool:
        """Return whether Slurm may begin the job again after a preemption or the failure of its node."""
        return self.job is not None and self.requeues

    @property
    def is_near(self) -> bool:
        """Return whether the job has been warned."""
        return self.warned is not None

    @property
    def is_over(self) -> bool:
        """Return whether the rest of the time is needed to end in order."""
        return self.warned is not None and time.monotonic() - self.warned > self.drain_s - RESERVE_S

    def ending(self, tasks_remain: bool) -> tuple[str, ServerState]:
        """Return why the server ends now, and the state after it: PENDING when the job goes back into the queue."""
        if not tasks_remain:
            return "its job's time is over and no task needs it", ServerState.STOPPED
        if self.max_s is not None and self.used_s >= self.max_s:
            return f"execution.max_walltime is used up ({self.used_s:.0f} of {self.max_s:.0f} s)", ServerState.FAILED
        if not self.comes_back:
            return "its job's time (execution.walltime) is over", ServerState.FAILED
        return "its job's time is over: back into the queue", ServerState.PENDING

    def requeue(self) -> str | None:
        """Put the job back into the queue; return why that was refused."""
        return self.job.requeue() if self.job is not None else "there is no job"
