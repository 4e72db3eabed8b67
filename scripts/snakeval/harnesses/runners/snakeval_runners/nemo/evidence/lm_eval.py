"""NVIDIA's fork of lm-evaluation-harness: a file of samples for every task, a line per sample and filter."""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ...shared.failures import RunnerError
from ...shared.fields import Fields
from ...shared.files import read_lines
from ...shared.samples import Sample
from ..journal import Journal
from ..request import NemoRequest
from .model import Evidence
from .replies import Replies


@dataclass(frozen=True)
class _Summary:
    """What lm-eval says of its tasks.

    Attributes:
        names: Tasks and groups with results.
        effective: Task -> number of samples.
        members: Group -> tasks and groups in it.
        versions: Of the tasks.
        lower_is_better: Names of metrics whose small values are the good ones.
    """

    names: Sequence[str]
    effective: Mapping[str, int]
    members: Mapping[str, Sequence[object]]
    versions: Mapping[str, object]
    lower_is_better: frozenset[str]

    def whole(self) -> str | None:
        """The only task or group that is in no group; None when there are several."""
        inner = {name for members in self.members.values() for name in members}
        outer = [name for name in self.names if name not in inner]
        return outer[0] if len(outer) == 1 else None

    def owners(self, task: str) -> set[str]:
        """The task and all groups that it is in."""
        owners: set[str] = set()
        open_names = [task]
        while open_names:
            name = open_names.pop()
            if name not in owners:
                owners.add(name)
                open_names += [group for group, members in self.members.items() if name in members]
        return owners


def read_lm_eval(request: NemoRequest, journal: Journal) -> Evidence:
    """Return the samples, joined over filters.

    Raises:
        RunnerError: there are fewer than lm-eval says.
    """
    summary = _summary(request)
    replies = Replies(journal)
    samples: list[Sample] = []
    counts: dict[tuple[str | None, str, str], int] = defaultdict(int)
    for task, effective in summary.effective.items():
        by_sample: dict[int, list[Fields]] = defaultdict(list)
        for entry in _entries(request, task):
            by_sample[entry.count("doc_id")].append(entry)
            for metric in _metrics(entry):
                for owner in summary.owners(task):
                    counts[owner, metric, entry.text("filter")] += 1
        if len(by_sample) != effective:
            raise RunnerError("harness", f"{len(by_sample)} of {effective} samples of {task} are there")
        samples += [_sample(task, doc_id, entries, replies) for doc_id, entries in by_sample.items()]

    def count(subtask: str | None, name: str, filter_name: str) -> int:
        return counts[subtask or summary.whole(), name, filter_name]

    return Evidence(
        samples,
        len(samples),
        count,
        versions={"task": summary.versions},
        lower_is_better=summary.lower_is_better,
        limited_parts=len(summary.effective),
        whole=summary.whole(),
    )


def _summary(request: NemoRequest) -> _Summary:
    files = sorted(request.output_path.rglob("results_*.json"))
    if len(files) != 1:
        raise RunnerError("harness", f"lm-eval has left {len(files)} files of results")
    content = Fields(json.loads(files[0].read_text(encoding="utf-8")))
    directions = [task for _, task in content.part_or_empty("higher_is_better").items()]
    members = content.part_or_empty("group_subtasks")
    return _Summary(
        names=content.part("results").names(),
        effective={task: numbers.count("effective") for task, numbers in content.part("n-samples").items()},
        members={name: members.list_or_empty(name) for name in members.names()},
        versions=content.part_or_empty("versions").content,
        lower_is_better=frozenset(name for task in directions for name in task.names() if task.value(name) is False),
    )


def _entries(request: NemoRequest, task: str) -> list[Fields]:
    files: list[Path] = [
        path
        for path in request.output_path.rglob(f"samples_{task}_*.jsonl")
        if path.name[len(f"samples_{task}_")].isdigit()
    ]
    return [entry for path in files for entry in read_lines(path)]


def _metrics(entry: Fields) -> list[str]:
    return [str(name) for name in entry.list_or_empty("metrics")]


def _sample(task: str, doc_id: int, entries: list[Fields], replies: Replies) -> Sample:
    first = entries[0]
    arguments = [request for _, request in first.part("arguments").items()]
    prompt = _prompt(arguments)
    choices = [str(request.value_or_none("arg_1")).strip() for request in arguments]
    responses = first.list_or_empty("resps")
    answer = _answer(responses, choices)
    likely = bool(responses) and _log_likelihood(responses[0]) is not None
    return Sample(
        task=task,
        doc_id=doc_id,
        repeat=0,
        prompt=prompt,
        answer=answer,
        expected=_expected(first.value_or_none("target"), choices),
        metrics={
            f"{metric}[{entry.text('filter')}]": value
            for entry in entries
            for metric in _metrics(entry)
            if (value := _value(entry.value_or_none(metric))) is not None
        },
        reply=replies.take_all(list(map(_continued, arguments))) if likely else replies.take(prompt, answer),
    )


def _value(value: object) -> float | None:
    """Return a number, as which true and false count here."""
    return float(value) if isinstance(value, int | float) else None


def _prompt(arguments: list[Fields]) -> str:
    """Return the last message of a chat, else the text."""
    text = arguments[0].value("arg_0")
    text = text[0] if isinstance(text, list) else text
    try:
        return str(json.loads(str(text))[-1]["content"])
    except (ValueError, TypeError, KeyError, IndexError):
        return str(text)


def _continued(request: Fields) -> str:
    """Return the text whose log-probabilities were asked for."""
    return f"{request.value_or_none('arg_0') or ''}{request.value_or_none('arg_1') or ''}"


def _answer(responses: list[object], choices: list[str]) -> object:
    """Return the text, several of them, or the likeliest of several choices."""
    likely = [value for value in map(_log_likelihood, responses) if value is not None]
    if len(likely) > 1 and len(likely) == len(choices):
        return choices[likely.index(max(likely))]
    texts = [text for answers in responses for text in (answers if isinstance(answers, list) else [answers])]
    return texts[0] if len(texts) == 1 else texts


def _log_likelihood(answers: object) -> float | None:
    """Return the number of [[log-probability, is greedy]], None for a text."""
    first = answers[0] if isinstance(answers, list) and answers else None
    value = first[0] if isinstance(first, list) and first else None
    try:
        return float(value) if value is not None else None
    except (TypeError, ValueError):
        return None


def _expected(target: object, choices: list[str]) -> object:
    """Return the right choice by its text, where the target is its number."""
    if not isinstance(target, str | int | float):
        return target
    try:
        number = int(target)
    except (ValueError, OverflowError):
        return target
    return choices[number] if len(choices) > 1 and 0 <= number < len(choices) else target
