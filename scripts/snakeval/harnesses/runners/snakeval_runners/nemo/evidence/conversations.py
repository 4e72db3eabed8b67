"""Harnesses of whose own files nothing is known: a sample for every conversation that the endpoint was to continue.

What is certain all the same: every request was answered, and the numbers are the harness's own.
"""

import json
from collections import Counter, defaultdict
from typing import Any

from ..journal import RESUMED, SENT, read_lines
from ..request import RunRequest
from .model import Evidence
from .replies import reply_facts


def read_conversations(request: RunRequest) -> Evidence:
    """Return the answered requests of this attempt; equal conversations are repeats of one sample."""
    answers: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for line in read_lines(request.answers_path):
        answers[line["key"]].append(line)
    given: Counter[str] = Counter()
    numbers: dict[str, int] = {}
    repeats: Counter[int] = Counter()
    samples = []
    for event in read_lines(request.events_path):
        if event["event"] not in (SENT, RESUMED):
            continue
        line = answers[event["key"]][given[event["key"]]]
        given[event["key"]] += 1
        asked = _asked(line["request"])
        number = numbers.setdefault(json.dumps(asked, sort_keys=True), len(numbers))
        samples.append(_sample(number, repeats[number], asked, line))
        repeats[number] += 1
    return Evidence(
        samples,
        len(numbers),
        lambda *_: len(numbers),
        lower_is_better=None,
        # A limit is one of the harness's samples, which may need several requests.
        limited_parts=max(len(numbers), 1),
        is_told_counts=True,
    )


def _asked(body: dict[str, Any]) -> Any:
    return next((body[name] for name in ("messages", "prompt", "input") if name in body), None)


def _sample(number: int, repeat: int, asked: Any, line: dict[str, Any]) -> dict[str, Any]:
    last = asked[-1] if isinstance(asked, list) and asked else asked
    return {
        "task": None,
        "doc_id": number,
        "repeat": repeat,
        "prompt": _text(last["content"] if isinstance(last, dict) and "content" in last else last),
        "answer": _answer(json.loads(line["body"])),
        "expected": None,
        "metrics": {},
        **reply_facts(line),
    }


def _text(content: Any) -> str:
    """Return a message's text, without its pictures."""
    if isinstance(content, list):
        return "\n".join(str(part["text"]) for part in content if isinstance(part, dict) and "text" in part)
    return str(content)


def _answer(body: dict[str, Any]) -> Any:
    """Return the text, several of them, or calls of tools; None for embeddings."""
    choices = body.get("choices") or []
    found = [_said(choice.get("message") or choice) for choice in choices]
    return found[0] if len(found) == 1 else found or None


def _said(message: dict[str, Any]) -> Any:
    text = message.get("content", message.get("text"))
    return message["tool_calls"] if message.get("tool_calls") and not text else text
