"""The uncertainty of one score: standard errors, confidence intervals, pass@k."""

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np

from snakeval.results.statistics.scores import Floats, Scores

ALPHA = 0.05
SEED = 20270
RESAMPLES = 9_999
# Above, the bootstrap of a mean agrees with the normal interval, and only takes longer.
BOOTSTRAP_UP_TO = 5_000
_BATCH_NUMBERS = 4_000_000
_SAME = 1e-6


@dataclass(frozen=True)
class Estimate:
    """A score with its uncertainty.

    Attributes:
        value: The score.
        stderr: Standard error; None when it is unknown.
        ci_low, ci_high: Ends of the confidence interval; None when there is none.
        method: "wilson", "bootstrap" or "normal"; None without an interval.
    """

    value: float
    stderr: float | None
    ci_low: float | None
    ci_high: float | None
    method: str | None


def z_value(alpha: float) -> float:
    """Return the two-sided normal quantile, 1.96 for 0.05."""
    return NormalDist().inv_cdf(1 - alpha / 2)


def estimate(scores: Scores, alpha: float = ALPHA, seed: int = SEED) -> Estimate:
    """Return the mean of the questions' scores with standard error and interval.

    Answers that are right or wrong get a Wilson interval, also with repeats or clusters (see `effective_size`). Other
    scores get a bootstrap interval over clusters. With more than `BOOTSTRAP_UP_TO` they get the normal interval.

    Args:
        scores: At least one question.
        alpha: 1 minus the confidence.
        seed: Seed of resampling. Equal scores give equal intervals.
    """
    value, stderr = float(scores.values.mean()), clustered_stderr(scores)
    if scores.binary:
        return Estimate(value, stderr, *wilson(value, effective_size(scores, alpha), alpha), "wilson")
    if scores.cluster_count > BOOTSTRAP_UP_TO:
        return estimate_from_stderr(value, stderr, len(scores), alpha)
    ends = bootstrap(scores, alpha, seed)
    return Estimate(value, stderr, *ends, "bootstrap") if ends else Estimate(value, stderr, None, None, None)


def estimate_from_stderr(value: float, stderr: float | None, n: int, alpha: float = ALPHA) -> Estimate:
    """Return the best that can be said without the scores of single samples.

    Scores in [0, 1] have at most the variance p (1 - p), and exactly that when each of them is 0 or 1; then the
    interval is Wilson's. Otherwise it is the normal one.

    Args:
        value: A mean.
        stderr: Its standard error, computed with either n or n - 1; None when it is unknown.
        n: Samples behind it, independent of each other.
        alpha: 1 minus the confidence.
    """
    if stderr is None:
        return Estimate(value, None, None, None, None)
    variances = [value * (1 - value) / max(size, 1) for size in (n, n - 1)]
    if 0 <= value <= 1 and any(math.isclose(stderr**2, one, rel_tol=_SAME, abs_tol=1e-15) for one in variances):
        return Estimate(value, stderr, *wilson(value, n, alpha), "wilson")
    if stderr == 0:
        return Estimate(value, stderr, None, None, None)
    return Estimate(value, stderr, value - z_value(alpha) * stderr, value + z_value(alpha) * stderr, "normal")


def wilson(value: float, n: float, alpha: float = ALPHA) -> tuple[float, float]:
    """Return the Wilson score interval of a proportion.

    E. B. Wilson (1927), JASA 22:209; recommended for all n by Brown, Cai & DasGupta (2001), Statistical Science 16:101.
    scipy has it for whole n alone (`binomtest(...).proportion_ci`).

    Args:
        value: The proportion.
        n: Number of independent answers; an effective number need not be whole.
        alpha: 1 minus the confidence.
    """
    z = z_value(alpha)
    centre = (value + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(value * (1 - value) / n + z * z / (4 * n * n))
    # At 0 and 1 the interval ends there, which rounding would miss.
    return 0.0 if value == 0 else max(0.0, centre - half), 1.0 if value == 1 else min(1.0, centre + half)


def clustered_stderr(scores: Scores) -> float | None:
    """Return the standard error of the mean over questions, by the central limit theorem; None below two clusters.

    Repeats of a question are averaged first. Clusters of questions add the covariance within them; alone, each question
    is a cluster, and this is the standard deviation (n - 1) over sqrt(n). With the small-sample factor G / (G - 1) of
    Cameron & Miller (2015), Journal of Human Resources 50:317; for evaluations see Miller (2024), arXiv:2411.00640.
    """
    count = scores.cluster_count
    if count < 2:
        return None
    deviations = np.bincount(scores.clusters, weights=scores.values - scores.values.mean(), minlength=count)
    return float(math.sqrt(float(deviations @ deviations) * count / (count - 1)) / len(scores))


def effective_size(scores: Scores, alpha: float = ALPHA) -> float:
    """Return the number of independent right-or-wrong answers that would have this standard error.

    Without repeats and clusters it is the number of questions. When all answers are the same, it is the number of
    clusters. Otherwise it is p (1 - p) / stderr². A standard error that comes from few clusters shortens it by (z /
    t)²: Korn & Graubard (1998), Survey Methodology 24:193; Dean & Pagano (2015), Survey Methodology 41:485.
    """
    clusters, value, stderr = scores.cluster_count, float(scores.values.mean()), clustered_stderr(scores)
    if scores.plain or not stderr or value in (0.0, 1.0):
        return float(clusters)
    from scipy.special import stdtrit

    size = min(value * (1 - value) / stderr**2, scores.answers)
    return max(1.0, float(size * (z_value(alpha) / stdtrit(clusters - 1, 1 - alpha / 2)) ** 2))


def bootstrap(scores: Scores, alpha: float = ALPHA, seed: int = SEED) -> tuple[float, float] | None:
    """Return the bootstrap interval of the mean, clusters drawn as wholes; None when all scores are the same.

    BCa: Efron (1987), JASA 82:171, as scipy computes it; percentiles where BCa is not defined.
    """
    totals, sizes = scores.totals()
    if len(totals) < 2 or bool(np.all(totals == sizes * (totals[0] / sizes[0]))):
        return None
    found = (_resampled(totals, sizes, method, alpha, seed) for method in ("BCa", "percentile"))
    return next((ends for ends in found if all(map(math.isfinite, ends))), None)


def _resampled(totals: Floats, sizes: Floats, method: str, alpha: float, seed: int) -> tuple[float, float]:
    from scipy.stats import bootstrap as resample

    def mean(total: Floats, size: Floats, axis: int) -> Any:
        return total.sum(axis=axis) / size.sum(axis=axis)

    with warnings.catch_warnings():
        # What scipy warns of comes back as nan.
        warnings.simplefilter("ignore")
        found = resample(
            (totals, sizes),
            mean,
            paired=True,
            vectorized=True,
            n_resamples=RESAMPLES,
            batch=max(1, _BATCH_NUMBERS // len(totals)),
            confidence_level=1 - alpha,
            method=method,
            rng=np.random.default_rng(seed),
        ).confidence_interval
    return float(found.low), float(found.high)


def pass_at_k(right: int, answers: int, k: int) -> float:
    """Return the unbiased estimate of the chance that at least one of k answers is right.

    1 - C(answers - right, k) / C(answers, k): Chen et al. (2021), arXiv:2107.03374.

    Raises:
        ValueError: k is not between 1 and `answers`, or `right` not between 0 and it.
    """
    if not 1 <= k <= answers or not 0 <= right <= answers:
        raise ValueError(f"pass@{k} of {right} right among {answers} answers is not defined")
    return 1 - math.comb(answers - right, k) / math.comb(answers, k)


def reported_k(repeats: int) -> Sequence[int]:
    """Return the k of the pass@k that are reported: the powers of two from 2, and the number of repeats."""
    powers = [2**power for power in range(1, repeats.bit_length())]
    return sorted({k for k in (*powers, repeats) if 2 <= k <= repeats})
