"""The answers so far, one JSON line each (requests.jsonl), so that an interrupted task sends only what is missing."""

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from .fields import Fields
from .files import AppendedLines, read_lines


@dataclass(frozen=True)
class Reply:
    """One answer as the endpoint gave it.

    Attributes:
        answer: What a runner keeps of the body, as JSON can hold it.
        finish_reason, prompt_tokens, completion_tokens: As the endpoint tells them, None when it does not.
        latency_s: Seconds from the request to the whole answer.
    """

    answer: Any
    finish_reason: str | None
    prompt_tokens: int | None
    completion_tokens: int | None
    latency_s: float


def request_key(payload: object, occurrence: int) -> str:
    """Hash of a request and of how many identical ones came before it, so that repeats never collapse."""
    return digest([payload, occurrence])


def digest(content: object) -> str:
    """Hash of a JSON value, whatever the order of its keys."""
    canonical = json.dumps(content, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(canonical.encode("utf-8", "surrogatepass")).hexdigest()


class RequestCache:
    """The replies in an append-only file, by the key of their request; a line that is damaged is asked for again."""

    def __init__(self, path: Path) -> None:
        self._replies: dict[str, Reply] = {}
        for line in read_lines(path):
            try:
                self._replies[line.text("key")] = _reply(line)
            except (KeyError, TypeError):
                continue
        self._lines = AppendedLines(path)

    def get(self, key: str) -> Reply | None:
        """The reply stored under a key, or None."""
        return self._replies.get(key)

    def put(self, key: str, reply: Reply) -> None:
        """Store a reply; it survives a kill of this process as soon as this returns."""
        self._lines.append({"key": key, **asdict(reply)})


def _reply(line: Fields) -> Reply:
    for name in ("finish_reason", "prompt_tokens", "completion_tokens"):
        line.value(name)
    return Reply(
        answer=line.value("answer"),
        finish_reason=line.text_or_none("finish_reason"),
        prompt_tokens=line.count_or_none("prompt_tokens"),
        completion_tokens=line.count_or_none("completion_tokens"),
        latency_s=line.number("latency_s"),
    )
