"""What became of every request: answers, which outlive a kill of the task, and the events of one attempt."""

import threading
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from ..shared.cache import digest
from ..shared.fields import Fields
from ..shared.files import AppendedLines, read_lines

SENT, RESUMED, FAILED = "sent", "resumed", "failed"


def request_key(body: object) -> str:
    """Return the hash of a request's JSON body."""
    return digest(body)


@dataclass(frozen=True)
class Answer:
    """One answer of the endpoint, as it gave it."""

    body: str
    latency_s: float


@dataclass(frozen=True)
class KeptAnswer:
    """One line of answers.jsonl.

    Attributes:
        key: Hash of the request.
        request: Its JSON body.
        answer: The endpoint's.
    """

    key: str
    request: Fields
    answer: Answer


@dataclass(frozen=True)
class Event:
    """One line of events.jsonl.

    Attributes:
        key: Hash of the request.
        event: SENT (and answered), RESUMED from an earlier attempt, or FAILED.
        reason, detail: Why it failed, and what the endpoint said.
    """

    key: str
    event: str
    reason: str = ""
    detail: str = ""


def read_answers(path: Path) -> Iterator[KeptAnswer]:
    """Yield the lines of answers.jsonl that are whole."""
    for line in read_lines(path):
        try:
            answer = Answer(line.text("body"), line.number("latency_s"))
            yield KeptAnswer(line.text("key"), line.part_or_empty("request"), answer)
        except (KeyError, TypeError):
            continue


def read_events(path: Path) -> Iterator[Event]:
    """Yield the lines of events.jsonl that are whole."""
    for line in read_lines(path):
        try:
            key, event = line.text("key"), line.text("event")
        except (KeyError, TypeError):
            continue
        yield Event(key, event, line.text_or_none("reason") or "", line.text_or_none("detail") or "")


class Journal:
    """Answers of earlier attempts, each given out once, and a record of what this attempt does. Thread-safe."""

    def __init__(self, answers: Path, events: Path) -> None:
        self._lock = threading.Lock()
        self._stored: dict[str, list[Answer]] = defaultdict(list)
        for kept in read_answers(answers):
            self._stored[kept.key].append(kept.answer)
        self._taken: Counter[str] = Counter()
        self._answers, self._events = AppendedLines(answers), AppendedLines(events)

    def take(self, key: str) -> Answer | None:
        """Return an answer of an earlier attempt that nobody has been given yet; equal requests get different ones."""
        with self._lock:
            number = self._taken[key]
            if number >= len(self._stored[key]):
                return None
            self._taken[key] += 1
            self._events.append({"key": key, "event": RESUMED})
            return self._stored[key][number]

    def answered(self, key: str, request: object, answer: Answer) -> None:
        """Keep an answer; it survives a kill of this process as soon as this returns."""
        with self._lock:
            self._answers.append({"key": key, "request": request, "body": answer.body, "latency_s": answer.latency_s})
            self._events.append({"key": key, "event": SENT})

    def failed(self, key: str, reason: str, detail: str) -> None:
        """Note that a request got no answer."""
        with self._lock:
            self._events.append(asdict(Event(key, FAILED, reason, detail[:500])))


@dataclass(frozen=True)
class Account:
    """What the events of an attempt come to.

    Attributes:
        sent, resumed: Answers by the endpoint, and of earlier attempts.
        failures: Failed tries, those that were repeated with success included.
        unanswered: Different requests whose last try failed.
        reasons: Why, of the last tries that failed.
        example: What the endpoint said at one of them.
    """

    sent: int
    resumed: int
    failures: int
    unanswered: int
    reasons: Counter[str]
    example: str

    def describe(self) -> str:
        """Say how many requests have no answer and why."""
        reasons = ", ".join(f"{reason} ({count}x)" for reason, count in self.reasons.most_common())
        example = f", e.g. '{' '.join(self.example.split())[:200]}'" if self.example.strip() else ""
        asked = self.sent + self.resumed + self.unanswered
        return f"{self.unanswered} of {asked} requests got no answer: {reasons}{example}"


def read_account(events: Iterable[Event]) -> Account:
    """Return what the events of an attempt come to, in the order in which they were."""
    last: dict[str, Event] = {}
    counts: Counter[str] = Counter()
    for event in events:
        counts[event.event] += 1
        last[event.key] = event
    open_ends = [event for event in last.values() if event.event == FAILED]
    return Account(
        sent=counts[SENT],
        resumed=counts[RESUMED],
        failures=counts[FAILED],
        unanswered=len(open_ends),
        reasons=Counter(event.reason for event in open_ends),
        example=open_ends[0].detail if open_ends else "",
    )
