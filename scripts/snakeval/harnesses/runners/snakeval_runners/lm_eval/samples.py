"""One line per sample and repeat, for people who want to see what the model said."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from .client import Reply


def write_samples(path: Path, passes: Sequence[Mapping[str, Any]]) -> None:
    """Write samples.jsonl from the results of every pass."""
    temporary = path.with_name(path.name + ".tmp")
    with temporary.open("w", encoding="utf-8", errors="replace") as file:
        for repeat, results in enumerate(passes):
            for task, entries in results["samples"].items():
                for line in _lines(task, repeat, entries):
                    file.write(json.dumps(line, ensure_ascii=False, default=str) + "\n")
    temporary.replace(path)


def _lines(task: str, repeat: int, entries: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """lm-eval has one entry per sample and filter; join those of a sample."""
    by_sample: dict[int, list[Mapping[str, Any]]] = {}
    for entry in entries:
        by_sample.setdefault(entry["doc_id"], []).append(entry)
    for doc_id, group in by_sample.items():
        yield {
            "task": task,
            "doc_id": doc_id,
            "repeat": repeat,
            "prompt": _prompt(group[0]["arguments"][0][0]),
            "answer": _answer(group[0]),
            "expected": _expected(group[0]),
            "metrics": {
                f"{metric}[{entry['filter']}]": float(entry[metric])
                for entry in group
                for metric in entry["metrics"]
                if hasattr(entry.get(metric), "__float__")
            },
            **_reply_fields(group[0]),
        }


def _prompt(argument: Any) -> str:
    """The prompt as text; chats with more than a user's message name the roles."""
    encoded = getattr(argument, "prompt", None)
    if encoded is None:
        return str(argument)
    messages = json.loads(encoded)
    if len(messages) == 1:
        return str(messages[0]["content"])
    return "\n\n".join(f"<{message['role']}>\n{message['content']}" for message in messages)


def _answer(entry: Mapping[str, Any]) -> str | list[str] | None:
    """The generated text (several if the task itself asks for several), or the likeliest of several choices."""
    responses = entry["resps"]
    first = responses[0]
    if first and isinstance(first[0], str):
        return str(first[0]) if len(first) == 1 else [str(text) for text in first]
    if len(responses) > 1 and isinstance(first[0], tuple):
        best = max(range(len(responses)), key=lambda index: responses[index][0][0])
        return str(entry["arguments"][best][1]).strip()
    return None


def _expected(entry: Mapping[str, Any]) -> Any:
    target, arguments = entry["target"], entry["arguments"]
    if isinstance(target, int) and len(arguments) > 1 and 0 <= target < len(arguments):
        return str(arguments[target][1]).strip()
    return target


def _reply_fields(entry: Mapping[str, Any]) -> dict[str, Any]:
    found = [getattr(answer, "reply", None) for answers in entry["resps"] for answer in answers]
    replies: list[Reply] = [reply for reply in found if reply is not None]
    return {
        "finish_reason": replies[0].finish_reason if replies else None,
        "prompt_tokens": _total([reply.prompt_tokens for reply in replies]),
        "completion_tokens": _total([reply.completion_tokens for reply in replies]),
        "latency_s": round(sum(reply.latency_s for reply in replies), 3) if replies else None,
    }


def _total(counts: Sequence[int | None]) -> int | None:
    known = [count for count in counts if count is not None]
    return sum(known) if known else None
