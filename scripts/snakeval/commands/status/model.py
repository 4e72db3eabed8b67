"""What is known of a run at one moment."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from snakeval.run.attempt import Attempt
from snakeval.run.server import ServerState
from snakeval.run.session import SUCCEEDED, SessionRecord


class TaskState(StrEnum):
    """The life of a task."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


@dataclass(frozen=True)
class ServerStatus:
    """One deployment's server.

    Attributes:
        deployment, type: Name and type of the deployment.
        state: None for an endpoint that was there before, and when the backend cannot be asked.
        address: host:port, or the URL of an endpoint that was there before; None before it is known.
        age_s: Since its start; of a server that has ended, how long it lived.
        restarts: After crashes, by its supervisor.
        reason: Why it is in this state; None when there is nothing to say.
        log: Path of its output, None for an endpoint that was there before.
    """

    deployment: str
    type: str
    state: ServerState | None
    address: str | None
    age_s: float | None
    restarts: int | None
    reason: str | None
    log: str | None


@dataclass(frozen=True)
class TaskStatus:
    """One task on one deployment; the attributes as in `Attempt`, None where they are not known.

    Attributes:
        remaining_s: At the rate of this attempt so far; only while it runs.
        log: Path of the log that says most; None before there is one.
    """

    deployment: str
    task: str
    state: TaskState
    done: int | None = None
    total: int | None = None
    rate_per_s: float | None = None
    remaining_s: float | None = None
    attempt: int | None = None
    last_attempt: int | None = None
    reason: str | None = None
    log: str | None = None


@dataclass(frozen=True)
class RunStatus:
    """A whole run at one moment (`at`, seconds since the epoch)."""

    run: str
    folder: str
    at: float
    session: SessionRecord | None
    session_lives: bool
    servers: tuple[ServerStatus, ...]
    tasks: tuple[TaskStatus, ...]

    @property
    def counts(self) -> Mapping[TaskState, int]:
        """How many tasks are in each state."""
        found = Counter(task.state for task in self.tasks)
        return {state: found[state] for state in TaskState}

    @property
    def session_state(self) -> str:
        """What Snakemake does with the run: running, succeeded, failed, interrupted, killed or "not begun"."""
        if self.session is None:
            # A run of an earlier version has results and no session.
            done = self.tasks and all(task.state is TaskState.SUCCEEDED for task in self.tasks)
            return SUCCEEDED if done else "not begun"
        if self.session_lives:
            return "running"
        return self.session.outcome or "killed"


@dataclass(frozen=True)
class Scene:
    """What the state of every task depends on."""

    session: SessionRecord | None
    session_lives: bool
    now: float

    def is_earlier(self, attempt: Attempt) -> bool:
        """Whether the attempt is of an earlier call than the one that works on the run now."""
        return self.session is not None and self.session_lives and attempt.started_at < self.session.began_at
