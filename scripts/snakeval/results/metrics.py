"""How metrics are called: by people, in samples, and which of them stands for its task."""

from collections.abc import Sequence

from snakeval.harnesses.base import Metric

HEADLINE_ORDER = ("acc_norm", "exact_match", "acc", "pass@1", "f1")


def headline_metric(metrics: Sequence[Metric]) -> Metric:
    """Return the metric of a result that stands for its task: the task's own (no subtask), best-known one."""
    return min(metrics, key=lambda metric: headline_rank(metric.subtask, metric.name))


def headline_rank(subtask: str | None, name: str) -> tuple[bool, int]:
    """Return what metrics of one task are ordered by, the headline first."""
    return subtask is not None, HEADLINE_ORDER.index(name) if name in HEADLINE_ORDER else len(HEADLINE_ORDER)


def is_plain(filter: str | None) -> bool:
    """Return whether the harness took the answers as they were."""
    return filter in (None, "", "none")


def metric_label(name: str, filter: str | None) -> str:
    """Return what people read: the name of a metric, with its filter where there is one."""
    return name if is_plain(filter) else f"{name} ({filter})"


def names_in_samples(metric: Metric) -> tuple[str, ...]:
    """Return the names that a metric may have in samples, the usual one first; no filter needs no name there."""
    filtered = f"{metric.name}[{metric.filter or 'none'}]"
    return (filtered, metric.name) if is_plain(metric.filter) else (filtered,)
