"""The main Snakemake's sign of life, for jobs on other machines: without it they would go on for a run that is dead."""

import os
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from snakeval.run.record import Moment, Pid, Record
from snakeval.system.periodic import Periodic
from snakeval.system.processes import SESSION_VARIABLE

BEAT_S = 5.0
SILENCE_S = 60.0


@dataclass(frozen=True)
class Owner(Record):
    """`session.json`: who owns the run right now; the file is touched as long as its process lives.

    Attributes:
        session: Name of the session, as in `SessionRecord.name`.
        pid: Its process.
        started_at: Seconds since the epoch.
    """

    session: str
    pid: Pid = field(default_factory=os.getpid)
    started_at: Moment = field(default_factory=time.time)


class Heartbeat:
    """Writes the session's name and touches the file, in the process that owns the run, until `end`.

    Args:
        file: `session.json` of the run.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._beats: Periodic | None = None

    def begin(self, session: str) -> None:
        """Say from now on that `session` owns the run. The jobs of an earlier session end when they see that."""
        Owner(session).write(self._file)
        self._beats = Periodic(self._beat, BEAT_S)
        self._beats.begin()

    def end(self) -> None:
        """Say that nobody owns the run; safe to call twice, and without `begin`."""
        if self._beats is not None:
            self._beats.end()
            self._file.unlink(missing_ok=True)
            self._beats = None

    def _beat(self) -> None:
        # A full or absent file system must not end the run; it is tried again.
        with suppress(OSError):
            os.utime(self._file)


class SessionWatch:
    """Tells a job, wherever it runs, whether the Snakemake that submitted it still owns the run.

    The clocks of two machines differ: only changes of the file count, and the time between them is our own.

    Args:
        file: `session.json` of the run.
        patience_s: Seconds without a sign of life after which the run counts as dead.
    """

    def __init__(self, file: Path, patience_s: float = SILENCE_S) -> None:
        self._file = file
        self._patience_s = patience_s
        self._session = os.environ.get(SESSION_VARIABLE)
        self._seen: int | None = None
        self._changed = time.monotonic()

    def ended(self) -> str | None:
        """Return why there is no use in going on, None while there is; call it every few seconds."""
        if self._session is None:
            return None
        owner = Owner.read(self._file)
        if owner is None or owner.session != self._session:
            return "the Snakemake that submitted this job no longer works on the run"
        beat = self._beat()
        if beat != self._seen:
            self._seen, self._changed = beat, time.monotonic()
        silence_s = time.monotonic() - self._changed
        if silence_s > self._patience_s:
            return f"the Snakemake that submitted this job has given no sign of life for {silence_s:.0f} s"
        return None

    def _beat(self) -> int | None:
        try:
            # Opening asks a network file system for the file's present state.
            with self._file.open("rb") as stream:
                return os.fstat(stream.fileno()).st_mtime_ns
        except OSError:
            return None
