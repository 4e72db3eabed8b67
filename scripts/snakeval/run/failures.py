"""How often a server could not be started in the latest session, and why: `failures.json` in the server's folder."""

import os
from dataclasses import dataclass
from pathlib import Path

from snakeval.run.record import Record
from snakeval.system.processes import SESSION_VARIABLE


@dataclass(frozen=True)
class FailedStarts(Record):
    """The failed starts of one session.

    Attributes:
        session: Name of the session, "" outside of one.
        count: How many there were.
        message: What is wrong, of the latest.
    """

    session: str
    count: int
    message: str

    @classmethod
    def of_this_session(cls, file: Path) -> "FailedStarts | None":
        """Return those of the session that this process belongs to, None without any."""
        failures = cls.read(file)
        return failures if failures is not None and failures.session == _session() else None

    @classmethod
    def note(cls, file: Path, message: str) -> None:
        """Write down one more, so that the other tasks of the deployment do not each repeat it."""
        before = cls.of_this_session(file)
        cls(_session(), before.count + 1 if before else 1, message).write(file)


def _session() -> str:
    return os.environ.get(SESSION_VARIABLE, "")
