"""NVIDIA's fork of lm-evaluation-harness: a file of samples for every task, a line per sample and filter."""

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

from ...shared.failures import RunnerError
from ..journal import read_lines
from ..request import RunRequest
from .model import Evidence
from .replies import Replies


def read_lm_eval(request: RunRequest) -> Evidence:
    """Return the samples, joined over filters.

    Raises:
        RunnerError: there are fewer than lm-eval says.
    """
    summary = _summary(request)
    replies = Replies(request.answers_path)
    samples: list[dict[str, Any]] = []
    counts: dict[tuple[str | None, str, str], int] = defaultdict(int)
    for task, numbers in summary["n-samples"].items():
        entries = _entries(request, task)
        by_sample: dict[int, list[dict[str, Any]]] = defaultdict(list)
        for entry in entries:
            by_sample[entry["doc_id"]].append(entry)
            for metric in entry["metrics"]:
                for owner in _owners(summary, task):
                    counts[owner, metric, entry["filter"]] += 1
        if len(by_sample) != numbers["effective"]:
            raise RunnerError("harness", f"{len(by_sample)} of {numbers['effective']} samples of {task} are there")
        samples += [_sample(task, doc_id, group, replies) for doc_id, group in by_sample.items()]
    parts = len(summary["n-samples"])

    def count(subtask: str | None, name: str, filter_name: str) -> int:
        return counts[subtask or _whole(summary), name, filter_name]

    versions = {"task": summary.get("versions") or {}}
    directions = [one for task in (summary.get("higher_is_better") or {}).values() for one in task.items()]
    lower = frozenset(name for name, higher in directions if higher is False)
    return Evidence(
        samples,
        len(samples),
        count,
        versions=versions,
        lower_is_better=lower,
        limited_parts=parts,
        whole=_whole(summary),
    )


def _whole(summary: dict[str, Any]) -> str | None:
    """Return the only task or group that is in no group; None when there are several."""
    inner = {name for members in (summary.get("group_subtasks") or {}).values() for name in members}
    outer = [name for name in summary["results"] if name not in inner]
    return outer[0] if len(outer) == 1 else None


def _owners(summary: dict[str, Any], task: str) -> set[str]:
    """Return the task and all groups that it is in."""
    members: dict[str, list[str]] = summary.get("group_subtasks") or {}
    owners, open_names = set(), [task]
    while open_names:
        name = open_names.pop()
        if name not in owners:
            owners.add(name)
            open_names += [group for group, inner in members.items() if name in inner]
    return owners


def _summary(request: RunRequest) -> dict[str, Any]:
    files = sorted(request.output_path.rglob("results_*.json"))
    if len(files) != 1:
        raise RunnerError("harness", f"lm-eval has left {len(files)} files of results")
    content: dict[str, Any] = json.loads(files[0].read_text(encoding="utf-8"))
    return content


def _entries(request: RunRequest, task: str) -> list[dict[str, Any]]:
    files: list[Path] = [
        path
        for path in request.output_path.rglob(f"samples_{task}_*.jsonl")
        if path.name[len(f"samples_{task}_")].isdigit()
    ]
    return [entry for path in files for entry in read_lines(path)]


def _sample(task: str, doc_id: int, group: list[dict[str, Any]], replies: Replies) -> dict[str, Any]:
    first = group[0]
    prompt = _prompt(first["arguments"])
    choices = [str(one.get("arg_1")).strip() for one in first["arguments"].values()]
    return {
        "task": task,
        "doc_id": doc_id,
        "repeat": 0,
        "prompt": prompt,
        "answer": _answer(first["resps"], choices),
        "expected": _expected(first.get("target"), choices),
        "metrics": {
            f"{metric}[{entry['filter']}]": float(entry[metric])
            for entry in group
            for metric in entry["metrics"]
            if isinstance(entry.get(metric), int | float)
        },
        **replies.of(prompt),
    }


def _prompt(arguments: dict[str, Any]) -> str:
    """Return the last message of a chat, else the text."""
    text = next(iter(arguments.values()))["arg_0"]
    text = text[0] if isinstance(text, list) else text
    try:
        return str(json.loads(text)[-1]["content"])
    except (ValueError, TypeError, KeyError, IndexError):
        return str(text)


def _answer(responses: list[Any], choices: list[str]) -> Any:
    """Return the text, several of them, or the likeliest of several choices."""
    likely = [value for value in map(_log_likelihood, responses) if value is not None]
    if len(likely) > 1 and len(likely) == len(choices):
        return choices[likely.index(max(likely))]
    texts = [text for answers in responses for text in (answers if isinstance(answers, list) else [answers])]
    return texts[0] if len(texts) == 1 else texts


def _log_likelihood(answers: Any) -> float | None:
    """Return the number of [[log-probability, is greedy]], None for a text."""
    first = answers[0] if isinstance(answers, list) and answers else None
    value = first[0] if isinstance(first, list) and first else None
    try:
        return float(value) if value is not None else None
    except (TypeError, ValueError):
        return None


def _expected(target: Any, choices: list[str]) -> Any:
    """Return the right choice by its text, where the target is its number."""
    try:
        number = int(target)
    except (TypeError, ValueError):
        return target
    return choices[number] if len(choices) > 1 and 0 <= number < len(choices) else target
