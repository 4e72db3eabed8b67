"""What became of every request: answers, which outlive a kill of the task, and the events of one attempt."""

import hashlib
import json
import threading
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SENT, RESUMED, FAILED = "sent", "resumed", "failed"


def request_key(body: Any) -> str:
    """Return the hash of a request's JSON body."""
    canonical = json.dumps(body, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(canonical.encode("utf-8", "surrogatepass")).hexdigest()


@dataclass(frozen=True)
class Answer:
    """One answer of the endpoint, as it gave it."""

    body: str
    latency_s: float


class Journal:
    """Answers of earlier attempts, each given out once, and a record of what this attempt does. Thread-safe."""

    def __init__(self, answers: Path, events: Path) -> None:
        self._lock = threading.Lock()
        self._stored: dict[str, list[Answer]] = defaultdict(list)
        for line in read_lines(answers):
            if {"key", "body", "latency_s"} <= line.keys():
                self._stored[line["key"]].append(Answer(line["body"], line["latency_s"]))
        self._taken: Counter[str] = Counter()
        self._answers, self._events = _Lines(answers), _Lines(events)

    def take(self, key: str) -> Answer | None:
        """Return an answer of an earlier attempt that nobody has been given yet; equal requests get different ones."""
        with self._lock:
            number = self._taken[key]
            if number >= len(self._stored[key]):
                return None
            self._taken[key] += 1
            self._events.append({"key": key, "event": RESUMED})
            return self._stored[key][number]

    def answered(self, key: str, request: Any, answer: Answer) -> None:
        """Keep an answer; it survives a kill of this process as soon as this returns."""
        with self._lock:
            line = {"key": key, "request": request, "body": answer.body, "latency_s": answer.latency_s}
            self._answers.append(line)
            self._events.append({"key": key, "event": SENT})

    def failed(self, key: str, reason: str, detail: str) -> None:
        """Note that a request got no answer."""
        with self._lock:
            self._events.append({"key": key, "event": FAILED, "reason": reason, "detail": detail[:500]})


class _Lines:
    """An append-only JSONL file; what a kill has cut short does not spoil the next line."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        content = path.read_bytes() if path.exists() else b""
        self._file = path.open("ab")
        if content and not content.endswith(b"\n"):
            self._file.write(b"\n")

    def append(self, line: dict[str, Any]) -> None:
        """Write a line and hand it to the operating system."""
        self._file.write(json.dumps(line, ensure_ascii=False).encode("utf-8", "surrogatepass") + b"\n")
        self._file.flush()


def read_lines(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the objects of a JSONL file; what is no JSON object was cut short by a kill and is passed over."""
    if not path.exists():
        return
    with path.open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            try:
                content = json.loads(line)
            except ValueError:
                continue
            if isinstance(content, dict):
                yield content


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


def read_account(events: Iterable[dict[str, Any]]) -> Account:
    """Return what the events of an attempt come to, in the order in which they were."""
    last: dict[str, dict[str, Any]] = {}
    counts: Counter[str] = Counter()
    for event in events:
        counts[event["event"]] += 1
        last[event["key"]] = event
    open_ends = [event for event in last.values() if event["event"] == FAILED]
    return Account(
        sent=counts[SENT],
        resumed=counts[RESUMED],
        failures=counts[FAILED],
        unanswered=len(open_ends),
        reasons=Counter(event["reason"] for event in open_ends),
        example=open_ends[0]["detail"] if open_ends else "",
    )
