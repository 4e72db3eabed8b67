"""What an attempt at a task tells of itself while it goes: `attempt.json` in the task's folder.

The file is operational: Snakemake does not track it, no score depends on it, and a result stands without it.
"""

import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path

from snakeval.errors import SnakevalError
from snakeval.run.paths import TaskPaths
from snakeval.run.record import Moment, Pid, Record
from snakeval.system.periodic import Periodic
from snakeval.system.processes import is_alive, start_time

WRITE_EVERY_S = 2.0
BEAT_EVERY_S = 10.0
STALE_S = 45.0
REASON_LENGTH = 300


class Stage(StrEnum):
    """Which rule the attempt is of."""

    READY = "ready"
    EVALUATE = "evaluate"


class Course(StrEnum):
    """How the attempt goes, or how it ended."""

    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    INTERRUPTED = "interrupted"


@dataclass(frozen=True)
class Progress:
    """How far a harness is, in requests or samples."""

    done: int
    total: int


@dataclass(frozen=True)
class Attempt(Record):
    """One attempt of rule ready or evaluate.

    Attributes:
        stage: The rule.
        course: As the attempt itself wrote it; one that was killed stays `running`, see `lives`.
        attempt, last_attempt: Which one it is and how many there may be, from 1.
        fingerprint: Of deployment and task, as in result.json: another one is another evaluation.
        machine, pid, process_start: The process (start in seconds since the epoch).
        started_at, updated_at: Seconds since the epoch.
        done, total: Samples or requests, None before the harness has told.
        first_done, first_at, counted_at: The first count of this attempt, and the times of the first and the latest.
        reason: First line of the error; None without one.
    """

    stage: Stage
    attempt: int
    last_attempt: int
    fingerprint: str
    course: Course = Course.RUNNING
    machine: str = field(default_factory=socket.gethostname)
    pid: Pid = field(default_factory=os.getpid)
    process_start: float | None = field(default_factory=lambda: start_time(os.getpid()))
    started_at: Moment = field(default_factory=time.time)
    updated_at: Moment = field(default_factory=time.time)
    done: int | None = None
    total: int | None = None
    first_done: int = 0
    first_at: Moment | None = None
    counted_at: Moment | None = None
    reason: str | None = None

    @property
    def rate_per_s(self) -> float | None:
        """Samples a second since the first count of this attempt; what it resumed with does not count."""
        if self.done is None or self.first_at is None or self.counted_at is None or self.counted_at <= self.first_at:
            return None
        return (self.done - self.first_done) / (self.counted_at - self.first_at)

    def counting(self, progress: Progress, now: float) -> "Attempt":
        """Return the attempt with a new count."""
        if self.first_at is None:
            return replace(self, done=progress.done, total=progress.total, first_done=progress.done, first_at=now)
        return replace(self, done=progress.done, total=progress.total, counted_at=now)

    def lives(self, now: float) -> bool:
        """Return whether its process still runs: looked up on this machine, told by its heartbeat on others."""
        if self.course is not Course.RUNNING:
            return False
        if self.machine == socket.gethostname():
            return is_alive(self.pid, self.process_start)
        return now - self.updated_at < STALE_S


def evaluation_fingerprint(deployment: str, task: str) -> str:
    """Return what identifies an evaluation, from the fingerprints of its deployment and its task."""
    return f"{deployment} {task}"


def has_failed(files: TaskPaths) -> bool:
    """Return whether the latest attempt in a folder has failed."""
    attempt = Attempt.read(files.attempt)
    return attempt is not None and attempt.course is Course.FAILED


class AttemptWriter:
    """Keeps the file of one attempt up to date from a thread of its own, so it stays true while the job waits."""

    def __init__(self, path: Path, attempt: Attempt) -> None:
        self._path = path
        self._now = attempt
        self._changed = False
        self._written = 0.0
        self._updates = Periodic(self._keep_up, WRITE_EVERY_S)
        self._write()
        self._updates.begin()

    def count(self, progress: Progress | None) -> None:
        """Take a new count; the file follows within `WRITE_EVERY_S` seconds."""
        if progress is not None and (self._now.done, self._now.total) != (progress.done, progress.total):
            self._now = self._now.counting(progress, time.time())
            self._changed = True

    def end(self, course: Course, reason: str | None = None) -> None:
        """Write how the attempt ended."""
        self._updates.end()
        self._now = replace(self._now, course=course, reason=reason)
        self._write()

    def _keep_up(self) -> None:
        if self._changed or time.monotonic() - self._written > BEAT_EVERY_S:
            self._changed = False
            self._write()

    def _write(self) -> None:
        self._written = time.monotonic()
        replace(self._now, updated_at=time.time()).write(self._path)


@contextmanager
def recorded_attempt(path: Path, attempt: Attempt) -> Iterator[AttemptWriter]:
    """Have the attempt on file while the block runs, and how it ended afterwards."""
    writer = AttemptWriter(path, attempt)
    try:
        yield writer
    except SnakevalError as error:
        writer.end(Course.FAILED, first_line(str(error)))
        raise
    except (KeyboardInterrupt, SystemExit):
        writer.end(Course.INTERRUPTED)
        raise
    except BaseException as error:
        writer.end(Course.FAILED, first_line(f"{type(error).__name__}: {error}"))
        raise
    writer.end(Course.SUCCEEDED)


def first_line(text: str) -> str:
    """Return the line of an error that says what is wrong, not too long for a table."""
    line = text.removeprefix("error: ").strip().partition("\n")[0]
    return line if len(line) <= REASON_LENGTH else f"{line[:REASON_LENGTH]}..."
