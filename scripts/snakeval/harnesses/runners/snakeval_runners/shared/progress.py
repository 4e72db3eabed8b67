"""How far the task is, for the job that watches it: progress.json."""

import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from .fields import Fields
from .files import write_json

WRITE_INTERVAL_S = 0.5
PRINT_INTERVAL_S = 10.0
PRINT_SHARE = 0.05


@dataclass(frozen=True)
class ProgressRecord:
    """The content of progress.json, in requests or samples."""

    done: int
    total: int


def write_progress(path: Path, record: ProgressRecord) -> None:
    """Write progress.json."""
    write_json(path, asdict(record))


def read_progress(content: object) -> ProgressRecord:
    """Return what progress.json says; raises KeyError or TypeError when it is damaged."""
    fields = Fields(content)
    return ProgressRecord(fields.count("done"), fields.count("total"))


class Progress:
    """Counts requests; keeps progress.json and the log up to date without flooding either."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.done = 0
        self.total = 0
        self._written_at = 0.0
        self._printed_at = time.monotonic()
        self._printed_done = 0

    def expect(self, count: int) -> None:
        """Raise the total by so many requests."""
        self.total += count
        self._write()

    def advance(self) -> None:
        """One more request is answered or has failed for good."""
        self.done += 1
        now = time.monotonic()
        last = self.done >= self.total
        if last or now - self._written_at >= WRITE_INTERVAL_S:
            self._write()
        if last or self._is_news(now):
            print(f"progress: {self.done}/{self.total}", file=sys.stderr, flush=True)
            self._printed_at, self._printed_done = now, self.done

    def _is_news(self, now: float) -> bool:
        step = (self.done - self._printed_done) / max(self.total, 1)
        return step >= PRINT_SHARE or now - self._printed_at >= PRINT_INTERVAL_S

    def _write(self) -> None:
        self._written_at = time.monotonic()
        write_progress(self.path, ProgressRecord(self.done, self.total))
