"""What the gateway has written of a task's requests: of its journal, what belongs to this run of the harness."""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ..shared.fields import Fields


@dataclass(frozen=True)
class Exchange:
    """One answered request.

    Attributes:
        request: The JSON body that the endpoint got.
        reply: The JSON body that it gave back.
        latency_s: How long the answer took.
    """

    request: Fields
    reply: Fields
    latency_s: float


class Journal:
    """A task's journal, which the gateway goes on writing until the harness has ended.

    Args:
        path: The file; it need not be there.
        start: Where the lines of this run begin, in bytes.
    """

    def __init__(self, path: Path, start: int) -> None:
        self._path = path
        self._answered: set[str] = set()
        self._failed: dict[str, Fields] = {}
        for kind, entry in _entries(path, start):
            key = entry.text_or_none("key") or ""
            if kind == "failed":
                self._failed[key] = entry
            elif kind in ("answer", "given"):
                self._answered.add(key)
                self._failed.pop(key, None)

    @property
    def answered(self) -> int:
        """Requests of this run that were answered, by the endpoint or by the journal."""
        return len(self._answered)

    @property
    def unanswered(self) -> int:
        """Requests of this run that got no answer for good."""
        return len(self._failed)

    def exchanges(self) -> Iterator[Exchange]:
        """Yield the answered requests of this run, in the order in which the endpoint answered them."""
        for kind, entry in _entries(self._path, 0):
            if kind == "answer" and entry.text_or_none("key") in self._answered:
                yield Exchange(entry.part("sent"), entry.part("reply"), entry.number("latency_s"))

    def describe(self) -> str:
        """Say how many requests have no answer and why."""
        counts = Counter(str(entry.value_or_none("kind")) for entry in self._failed.values())
        reasons = ", ".join(f"{kind} ({count}x)" for kind, count in counts.most_common())
        details = [" ".join(str(entry.value_or_none("detail") or "").split()) for entry in self._failed.values()]
        example = next((f", e.g. '{detail[:200]}'" for detail in details if detail), "")
        return f"{self.unanswered} of {self.answered + self.unanswered} requests got no answer: {reasons}{example}"


def _entries(path: Path, start: int) -> Iterator[tuple[str, Fields]]:
    """Yield kind and content of every line that is whole."""
    if not path.exists():
        return
    with path.open("rb") as lines:
        lines.seek(start)
        for line in lines:
            try:
                entry = Fields(json.loads(line)).part("entry")
                yield entry.text("type"), entry
            except (ValueError, TypeError, KeyError):
                continue
