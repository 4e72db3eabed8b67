"""Turns lm-eval's results, one per pass, into metrics."""

import math
import statistics
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from lm_eval.api.metrics import mean
from lm_eval.api.task import Task

from ..shared.failures import RunnerError
from ..shared.outcome import ReportedMetric
from .passes import Pass
from .tasks import LoadedTask


def build_metrics(task: str, loaded: LoadedTask, passes: Sequence[Pass]) -> tuple[ReportedMetric, ...]:
    """Average the passes.

    With one pass, values and standard errors are lm-eval's own. With more, the value is the mean over passes; the
    standard error of a mean metric is clustered by sample (the samples are drawn, their repeats are not independent),
    that of other metrics is the mean over passes, an upper bound. Groups are aggregated by lm-eval from their members.

    Args:
        task: The task, group or tag that was asked for; its own metrics have no subtask.
        loaded: The same, loaded.
        passes: In their order.
    """
    averaged = passes[0].results if len(passes) == 1 else _average(loaded, passes)
    metrics = []
    for name, entries in averaged.items():
        for key, value in entries.items():
            metric, _, filter_name = key.partition(",")
            if not filter_name or metric.endswith("_stderr"):
                continue
            number = _number(value)
            if number is None:
                print(f"warning: {name}: metric {key} is no number and is left out: {value!r}", file=sys.stderr)
                continue
            if not math.isfinite(number):
                raise RunnerError("harness", f"metric {metric} (filter {filter_name}) of {name} is {number}")
            better = passes[0].higher_is_better.get(name, {}).get(metric)
            metrics.append(
                ReportedMetric(
                    name=metric,
                    filter=filter_name,
                    subtask=None if name == task else name,
                    value=number,
                    stderr=_finite(entries.get(f"{metric}_stderr,{filter_name}")),
                    n=_count(loaded, passes[0], name, key),
                    higher_is_better=better if isinstance(better, bool) else None,
                )
            )
    if not metrics:
        raise RunnerError("harness", f"lm-eval computed no metric for task {task}")
    return tuple(metrics)


def _average(loaded: LoadedTask, passes: Sequence[Pass]) -> Mapping[str, Mapping[str, Any]]:
    averaged: dict[str, dict[str, Any]] = {}
    for name, first in passes[0].results.items():
        if name in loaded.leaves:
            entries = [results.results[name] for results in passes]
            averaged[name] = {key: value for key, value in first.items() if "," not in key}
            for key in first:
                metric, _, filter_name = key.partition(",")
                numbers = [number for entry in entries if (number := _number(entry.get(key))) is not None]
                if filter_name and not metric.endswith("_stderr") and len(numbers) == len(entries):
                    stderr_key = f"{metric}_stderr,{filter_name}"
                    averaged[name][key] = statistics.fmean(numbers)
                    stderr = _stderr(loaded.leaves[name], name, metric, filter_name, passes)
                    averaged[name][stderr_key] = "N/A" if stderr is None else stderr
    # A group is made of its leaves, whatever the depth, so the order does not matter.
    groups = {name: group.aggregate(averaged) for name, group in loaded.groups.items()}
    return averaged | groups


def _stderr(task: Task, name: str, metric: str, filter_name: str, passes: Sequence[Pass]) -> float | None:
    if task.aggregation().get(metric, mean) is mean:
        return clustered_stderr([_sample_values(results, name, metric, filter_name) for results in passes])
    values = [_finite(results.results[name].get(f"{metric}_stderr,{filter_name}")) for results in passes]
    known = [value for value in values if value is not None]
    return statistics.fmean(known) if known else None


def clustered_stderr(passes: Sequence[Mapping[int, float]]) -> float | None:
    """Standard error of a mean over samples that were each repeated: that of the samples' own means.

    Args:
        passes: Per pass, value by sample.

    Returns:
        Standard deviation of the per-sample means (ddof 1) / sqrt(number of samples); None below two samples.
    """
    by_sample: dict[int, list[float]] = {}
    for values in passes:
        for sample, value in values.items():
            by_sample.setdefault(sample, []).append(value)
    means = [statistics.fmean(values) for values in by_sample.values()]
    return statistics.stdev(means) / math.sqrt(len(means)) if len(means) > 1 else None


def _sample_values(results: Pass, name: str, metric: str, filter_name: str) -> dict[int, float]:
    return {
        entry.doc_id: number
        for entry in results.samples[name]
        if entry.filter == filter_name and (number := _number(entry.metrics.get(metric))) is not None
    }


def _count(loaded: LoadedTask, results: Pass, name: str, key: str) -> int:
    if name in loaded.groups:
        entries = results.results[name]
        return int(entries.get("sample_count", {}).get(key, entries.get("sample_len", 0)))
    metric, _, filter_name = key.partition(",")
    return sum(1 for entry in results.samples[name] if entry.filter == filter_name and metric in entry.metrics)


def _number(value: object) -> float | None:
    """Return a number, None for anything else; numpy's numbers count, they turn up in some tasks' own metrics."""
    if isinstance(value, str | bytes | list | tuple | dict) or not hasattr(value, "__float__"):
        return None
    return float(value)


def _finite(value: object) -> float | None:
    number = _number(value)
    return number if number is not None and math.isfinite(number) else None
