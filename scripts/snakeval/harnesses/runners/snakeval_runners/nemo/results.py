"""Turns results.yml, the form that all harnesses of nemo-evaluator share, into metrics."""

import math
import sys
from collections.abc import Iterator
from dataclasses import dataclass

from ..shared.failures import RunnerError
from ..shared.fields import Fields, is_number
from ..shared.outcome import ReportedMetric
from .evidence.model import Evidence
from .request import NemoRequest


def build_metrics(results: Fields, evidence: Evidence, request: NemoRequest) -> tuple[ReportedMetric, ...]:
    """Return every number that samples are behind, with its standard error and their count.

    The harness's group, or its only task, is the task itself; other tasks are its parts.

    Raises:
        RunnerError: a value is no number, or nothing is left.
    """
    groups, tasks = results.part_or_empty("groups"), results.part_or_empty("tasks")
    whole = evidence.whole or (groups.names()[0] if len(groups.names()) == 1 else None)
    entries = {**dict(tasks.items()), **dict(groups.items())}
    metrics: list[ReportedMetric] = []
    for owner, entry in entries.items():
        subtask = None if owner == whole or len(entries) == 1 else owner
        for score in _scores(entry):
            counted = evidence.count(subtask, score.name, score.filter)
            if evidence.trusts_counts and score.count is not None and 0 < score.count < counted:
                counted = score.count
            if not counted:
                print(f"warning: {owner}: {score.name} is left out, there is no sample behind it", file=sys.stderr)
                continue
            metrics.append(_metric(subtask, score, counted, request.repeats, evidence.lower_is_better))
    metrics += evidence.metrics
    if not metrics:
        raise RunnerError("harness", f"{request.framework} computed no metric for task {request.task}")
    return tuple(metrics)


@dataclass(frozen=True)
class _Score:
    """A number of results.yml; `value` is whatever stands there, `count` and `stderr` are None where nothing does."""

    name: str
    filter: str
    value: object
    count: int | None
    stderr: float | None


def _scores(entry: Fields) -> Iterator[_Score]:
    """Yield the scores of a group or task; `micro` and `macro` are averages over samples and over parts."""
    for metric, content in entry.part_or_empty("metrics").items():
        for kind, score in content.part("scores").items():
            name, _, filter_name = metric.partition("__")
            average = kind.split("_avg_of_")[0]
            if average == "macro":
                name = f"{name}_macro"
            elif average != "micro" and kind != metric:
                name = f"{name}_{kind}"
            stats = score.part_or_empty("stats")
            yield _Score(
                name,
                filter_name or "none",
                score.value_or_none("value"),
                stats.count_or_none("count"),
                stats.number_or_none("stderr"),
            )


def _metric(
    subtask: str | None, score: _Score, count: int, repeats: int, lower_is_better: frozenset[str] | None
) -> ReportedMetric:
    value, stderr = score.value, score.stderr
    if not is_number(value) or not math.isfinite(value):
        raise RunnerError("harness", f"metric {score.name} of {subtask or 'the task'} is {value}, which is no score")
    # With repeats the harnesses group answers by when they came; the samples tell better.
    known = repeats == 1 and count > 1 and stderr is not None and math.isfinite(stderr)
    return ReportedMetric(
        name=score.name,
        filter=score.filter,
        subtask=subtask,
        value=float(value),
        stderr=stderr if known else None,
        n=count,
        higher_is_better=None if lower_is_better is None else score.name not in lower_is_better,
    )
