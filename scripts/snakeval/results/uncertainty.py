"""Gives every metric of an outcome its standard error and interval, from the samples where they are recorded."""

from collections.abc import Iterator
from dataclasses import replace

from snakeval.harnesses.base import Metric, Outcome
from snakeval.results.samples import SampleTable
from snakeval.results.statistics.estimates import Estimate, estimate, estimate_from_stderr, pass_at_k, reported_k
from snakeval.results.statistics.scores import Scores, make_scores


def with_uncertainty(outcome: Outcome, table: SampleTable) -> Outcome:
    """Return the outcome with intervals, and pass@k where right-or-wrong answers were repeated.

    Some scores cannot be computed from samples (corpus metrics, averages over groups, programs that write no samples).
    They keep the harness's own standard error, and get the interval that follows from it.
    """
    return replace(outcome, metrics=tuple(one for metric in outcome.metrics for one in _metrics(metric, table)))


def _metrics(metric: Metric, table: SampleTable) -> Iterator[Metric]:
    scores = table.scores(metric)
    if scores is None:
        yield _with(metric, estimate_from_stderr(metric.value, metric.stderr, metric.n))
        return
    yield _with(metric, estimate(scores))
    repeats = scores.answers // len(scores)
    if not scores.binary or repeats * len(scores) != scores.answers or metric.higher_is_better is False:
        return
    for k in reported_k(repeats):
        solved = _solved(scores, repeats, k)
        found = estimate(solved)
        yield _with(replace(metric, name=f"{metric.name}_pass@{k}", value=found.value), found)


def _solved(scores: Scores, repeats: int, k: int) -> Scores:
    """Return pass@k of every question."""
    values = {
        one: [pass_at_k(round(value * repeats), repeats, k)]
        for one, value in zip(scores.ids, scores.values, strict=True)
    }
    return make_scores(values, dict(zip(scores.ids, scores.clusters.tolist(), strict=True)))


def _with(metric: Metric, found: Estimate) -> Metric:
    return replace(metric, stderr=found.stderr, ci_low=found.ci_low, ci_high=found.ci_high, ci_method=found.method)
