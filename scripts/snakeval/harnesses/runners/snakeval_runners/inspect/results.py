"""Turns the scores of an Inspect log into metrics with standard errors."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from inspect_ai.log import EvalLog, EvalSample, EvalScore
from inspect_ai.scorer import value_to_float

from ..shared.failures import RunnerError
from ..shared.outcome import ReportedMetric
from .request import InspectRequest

# Metrics that are the uncertainty of others, or their spread, and no score.
SPREAD = frozenset({"stderr", "bootstrap_stderr", "std", "var"})
MEANS = frozenset({"accuracy", "mean"})


def build_metrics(
    request: InspectRequest, log: EvalLog, samples: Sequence[EvalSample], asked: int
) -> tuple[ReportedMetric, ...]:
    """Return the metrics of every scorer; values and standard errors are Inspect's own.

    Inspect computes both from each sample's mean over its epochs, so that the standard error is clustered by sample.

    Args:
        request: What was asked for.
        log: Of a complete evaluation.
        samples: Its samples, epochs included.
        asked: Number of samples, epochs not counted.

    Raises:
        RunnerError: A value is no number, or a scorer left samples out.
    """
    metrics = []
    for score in log.results.scores if log.results else []:
        if score.unscored_samples:
            count = score.unscored_samples + (score.scored_samples or 0)
            message = f"scorer {score.name} gave no score to {score.unscored_samples} of {count} samples"
            raise RunnerError("harness", f"{message} of task {request.task}")
        for name, metric in score.metrics.items():
            if name in SPREAD and len(score.metrics) > 1:
                continue
            if not math.isfinite(metric.value):
                raise RunnerError("harness", f"metric {name} of scorer {score.name} is {metric.value}")
            metrics.append(
                ReportedMetric(
                    name=name,
                    filter=filter_name(score, log),
                    subtask=None,
                    value=float(metric.value),
                    stderr=_stderr(score) if name in MEANS else None,
                    n=min(score.scored_samples or asked, asked),
                    higher_is_better=True if name == "accuracy" else None,
                )
            )
    if not metrics:
        raise RunnerError("harness", f"Inspect computed no metric for task {request.task}; does it have a scorer?")
    return tuple(metrics)


def filter_name(score: EvalScore, log: EvalLog) -> str:
    """Return what tells the metrics of several scorers, of parts of their values, and of ways to join epochs apart."""
    name = score.scorer if score.name == score.scorer else f"{score.scorer}.{score.name}"
    reducers = {one.reducer for one in (log.results.scores if log.results else [])}
    return f"{name}.{score.reducer}" if score.reducer and len(reducers) > 1 else name


def _stderr(score: EvalScore) -> float | None:
    found = score.metrics.get("stderr") or score.metrics.get("bootstrap_stderr")
    return float(found.value) if found and math.isfinite(found.value) else None


def sample_metrics(log: EvalLog, sample: EvalSample) -> dict[str, float]:
    """Return one sample's values as `metric[filter]`; Snakeval believes those whose mean is the metric's value."""
    found: dict[str, float] = {}
    to_float = value_to_float()
    for score in log.results.scores if log.results else []:
        own = (sample.scores or {}).get(score.scorer)
        value: Any = own.value if own is not None else None
        if isinstance(value, Mapping):
            value = value.get(score.name)
        if not isinstance(value, str | int | float):
            continue
        number = float(to_float(value))
        if math.isfinite(number):
            filtered = filter_name(score, log)
            found |= {f"{name}[{filtered}]": number for name in score.metrics if name not in SPREAD}
    return found
