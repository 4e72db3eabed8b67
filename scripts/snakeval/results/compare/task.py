"""Compares one task of two deployments: may they be compared, by how much do they differ, and is it chance."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from snakeval.errors import HarnessError
from snakeval.harnesses.base import Metric
from snakeval.results.compare.differences import Setting, differences
from snakeval.results.compare.record import (
    BETTER,
    EQUAL,
    INCOMPARABLE,
    WORSE,
    Flips,
    SampleName,
    ScoreRecord,
    TaskRecord,
)
from snakeval.results.metrics import headline_metric
from snakeval.results.result import Result, read_result
from snakeval.results.samples import SampleTable, read_samples, read_table
from snakeval.results.statistics.estimates import clustered_stderr
from snakeval.results.statistics.paired import MCNEMAR, Difference, paired_difference, unpaired_difference
from snakeval.results.statistics.scores import Scores, shared
from snakeval.run.paths import TaskPaths

_SHOWN_SETTINGS = 5


@dataclass
class TaskComparison:
    """What is known of a task that is compared; what stands before a refusal is filled in.

    Attributes:
        task: Its name.
        refusal: Why it is not compared, None when it is.
        settings: What differs in the settings, accepted or not.
        metric: The candidate's metric that is compared.
        baseline, candidate: value, stderr and n of both.
        n_shared: Samples that both answered, None when their scores are not recorded.
        difference: Candidate minus baseline.
        flips: Samples that went from right to wrong and back, None when scores are not right or wrong.
    """

    task: str
    refusal: str | None = None
    settings: list[Setting] = field(default_factory=list)
    metric: Metric | None = None
    baseline: ScoreRecord | None = None
    candidate: ScoreRecord | None = None
    n_shared: int | None = None
    difference: Difference | None = None
    flips: Flips | None = None

    def verdict(self, p_holm: float | None, alpha: float) -> tuple[str, str]:
        """Return verdict and reason, by the corrected p."""
        if self.refusal or self.difference is None or self.metric is None:
            return INCOMPARABLE, self.refusal or "there is nothing to compare"
        if p_holm is None:
            return EQUAL, "nothing tells how much of the difference is chance: no samples' scores, no standard error"
        if p_holm >= alpha:
            # With repeats answers can change without a flip; the test of single answers is McNemar's.
            same = self.flips == Flips() and self.difference.test == MCNEMAR
            found = "no answer changed" if same else f"p = {p_holm:.3g} after correction"
            return EQUAL, f"the difference may be chance: {found}"
        up = (self.difference.value > 0) == (self.metric.higher_is_better is not False)
        return BETTER if up else WORSE, f"the difference is not chance alone: p = {p_holm:.3g} after correction"

    def record(self, p_holm: float | None, alpha: float) -> TaskRecord:
        """Return it as the comparison's file has it, with the verdict by the corrected p."""
        verdict, reason = self.verdict(p_holm, alpha)
        record = TaskRecord(
            task=self.task,
            verdict=verdict,
            reason=reason,
            baseline=self.baseline,
            candidate=self.candidate,
            differences=tuple(self.settings),
            n_shared=self.n_shared,
            p_holm=p_holm,
            flips=self.flips,
        )
        if self.metric is not None:
            # A metric without a direction is taken as one of which more is better.
            up = self.metric.higher_is_better is not False
            record = replace(record, metric=self.metric.name, filter=self.metric.filter, higher_is_better=up)
        if self.difference is not None:
            numbers = {name: value for name, value in asdict(self.difference).items() if name != "value"}
            record = replace(record, difference=self.difference.value, **numbers)
        return record


class _Refused(Exception):
    """The two cannot be compared; the text says why."""


def compare_task(
    task: str, baseline: TaskPaths, candidate: TaskPaths, accept: Sequence[str], alpha: float
) -> TaskComparison:
    """Compare a task of two deployments by their files.

    Args:
        task: Its name.
        baseline, candidate: The files.
        accept: Names or patterns of settings that may differ.
        alpha: Level of the tests.
    """
    found = TaskComparison(task)
    try:
        before, after = _result("baseline", baseline), _result("candidate", candidate)
        found.settings = differences("task", before, after, accept)
        metrics = _same_metric(before, after)
        found.metric = metrics[1]
        found.baseline, found.candidate = (ScoreRecord(one.value, one.stderr, one.n) for one in metrics)
        tables = _table("baseline", baseline), _table("candidate", candidate)
        scores = tables[0].scores(metrics[0]), tables[1].scores(metrics[1])
        found.settings += _sample_differences(tables, scores, metrics, found.settings, accept)
        _refuse(found.settings)
        if scores[0] is not None and scores[1] is not None:
            _pair(found, *shared(scores[0], scores[1]), alpha)
        else:
            values = [(one.value, one.stderr) for one in metrics]
            found.difference = unpaired_difference(values[0], values[1], alpha)
    except _Refused as refused:
        found.refusal = str(refused)
    return found


def _result(label: str, files: TaskPaths) -> Result:
    try:
        result = read_result(files.result)
    except HarnessError as error:
        raise _Refused(f"the result of the {label} is malformed: {error}") from None
    if result is None:
        raise _Refused(f"the {label} has no result of this task")
    return result


def _table(label: str, files: TaskPaths) -> SampleTable:
    try:
        return read_table(read_samples(files.samples))
    except HarnessError as error:
        raise _Refused(f"the samples of the {label} cannot be read: {error}") from None


def _same_metric(baseline: Result, candidate: Result) -> tuple[Metric, Metric]:
    metric = headline_metric(candidate.metrics)
    for other in baseline.metrics:
        if (other.name, other.filter, other.subtask) == (metric.name, metric.filter, metric.subtask):
            return other, metric
    raise _Refused(f"the baseline has no metric {metric.name} (filter {metric.filter})")


def _sample_differences(
    tables: tuple[SampleTable, SampleTable],
    scores: tuple[Scores | None, Scores | None],
    metrics: tuple[Metric, Metric],
    settings: Sequence[Setting],
    accept: Sequence[str],
) -> list[Setting]:
    """Return whether the two answered other samples; another limit says so already."""
    found = []
    ids = [set(one.ids) if one is not None else None for one in scores]
    other = ids[0] != ids[1] if None not in ids else metrics[0].n != metrics[1].n
    if other and not any(one.component == "limit" for one in settings):
        words = [f"{metric.n} samples" for metric in metrics]
        if ids[0] is not None and ids[1] is not None:
            words = [f"{words[0]}, {len(ids[0] - ids[1])} only here", f"{words[1]}, {len(ids[1] - ids[0])} only here"]
        found.append(Setting("samples", words[0], words[1]))
    both = tables[0].expected.keys() & tables[1].expected.keys()
    changed = sum(tables[0].expected[one] != tables[1].expected[one] for one in both)
    if changed:
        found.append(Setting("samples.expected", None, f"{changed} of {len(both)} samples expect another answer"))
    return [one.accepted_by(accept) for one in found]


def _refuse(settings: Sequence[Setting]) -> None:
    refused = [str(one) for one in settings if not one.accepted]
    if refused:
        more = f"; and {len(refused) - _SHOWN_SETTINGS} more" if len(refused) > _SHOWN_SETTINGS else ""
        raise _Refused(f"not measured alike: {'; '.join(refused[:_SHOWN_SETTINGS])}{more}")


def _pair(found: TaskComparison, baseline: Scores, candidate: Scores, alpha: float) -> None:
    found.n_shared = len(baseline)
    if not found.n_shared:
        raise _Refused("they share no sample")
    found.baseline, found.candidate = (
        ScoreRecord(float(one.values.mean()), clustered_stderr(one), len(one)) for one in (baseline, candidate)
    )
    found.difference = paired_difference(baseline, candidate, alpha)
    if baseline.binary and candidate.binary:
        # With repeats a sample counts as right when at least half of its answers are.
        less = found.metric is not None and found.metric.higher_is_better is False
        before, after = (one.values <= 0.5 if less else one.values >= 0.5 for one in (baseline, candidate))
        found.flips = Flips(
            right_to_wrong=_named(baseline, before & ~after),
            wrong_to_right=_named(baseline, ~before & after),
        )


def _named(scores: Scores, which: NDArray[np.bool_]) -> tuple[SampleName, ...]:
    return tuple(_sample(scores.ids[index]) for index in np.flatnonzero(which))


def _sample(one: Any) -> SampleName:
    task, doc_id = one
    return SampleName(task, doc_id)
