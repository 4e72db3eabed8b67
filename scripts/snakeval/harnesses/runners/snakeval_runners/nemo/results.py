"""Turns results.yml, the form that all harnesses of nemo-evaluator share, into metrics."""

import math
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from ..shared.failures import RunnerError
from .evidence.model import Evidence
from .request import RunRequest


def build_metrics(results: Mapping[str, Any], evidence: Evidence, request: RunRequest) -> list[dict[str, Any]]:
    """Return every number that samples are behind, with its standard error and their count.

    The harness's group, or its only task, is the task itself; other tasks are its parts.

    Raises:
        RunnerError: a value is no number, or nothing is left.
    """
    groups, tasks = results.get("groups") or {}, results.get("tasks") or {}
    whole = evidence.whole or (next(iter(groups)) if len(groups) == 1 else None)
    entries = {**tasks, **groups}
    metrics = []
    for owner, entry in entries.items():
        subtask = None if owner == whole or len(entries) == 1 else owner
        for name, filter_name, score in _scores(entry):
            counted = evidence.count(subtask, name, filter_name)
            told = (score.get("stats") or {}).get("count")
            if evidence.is_told_counts and isinstance(told, int) and 0 < told < counted:
                counted = told
            if not counted:
                print(f"warning: {owner}: {name} is left out, there is no sample behind it", file=sys.stderr)
                continue
            metric = _metric(subtask, name, filter_name, score, counted, request.repeats)
            lower = evidence.lower_is_better
            metrics.append(metric | {"higher_is_better": None if lower is None else name not in lower})
    metrics += evidence.metrics
    if not metrics:
        raise RunnerError("harness", f"{request.framework} computed no metric for task {request.task}")
    return metrics


def _scores(entry: Mapping[str, Any]) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """Yield name, filter and score; `micro` and `macro` are averages over samples and over parts."""
    for metric, content in (entry.get("metrics") or {}).items():
        for kind, score in content["scores"].items():
            name, _, filter_name = metric.partition("__")
            average = kind.split("_avg_of_")[0]
            if average == "macro":
                name = f"{name}_macro"
            elif average != "micro" and kind != metric:
                name = f"{name}_{kind}"
            yield name, filter_name or "none", score


def _metric(
    subtask: str | None, name: str, filter_name: str, score: Mapping[str, Any], count: int, repeats: int
) -> dict[str, Any]:
    value, stderr = score.get("value"), (score.get("stats") or {}).get("stderr")
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise RunnerError("harness", f"metric {name} of {subtask or 'the task'} is {value}, which is no score")
    # With repeats the harnesses group answers by when they came; the samples tell better.
    known = repeats == 1 and isinstance(stderr, int | float) and math.isfinite(stderr) and count > 1
    return {
        "name": name,
        "filter": filter_name,
        "subtask": subtask,
        "value": float(value),
        "stderr": float(stderr) if known and stderr is not None else None,
        "n": count,
    }
