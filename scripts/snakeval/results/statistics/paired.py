"""The uncertainty of a difference: tests, intervals, correction for many tasks, what a sample size can show."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np

from snakeval.results.statistics.estimates import (
    ALPHA,
    BOOTSTRAP_UP_TO,
    RESAMPLES,
    SEED,
    bootstrap,
    clustered_stderr,
    z_value,
)
from snakeval.results.statistics.scores import Floats, Scores

POWER = 0.8
MCNEMAR, SIGN_FLIP, UNPAIRED = "mcnemar exact", "sign-flip permutation", "unpaired z"
_BATCH_NUMBERS = 4_000_000
_SUM_DECIMALS = 9


@dataclass(frozen=True)
class Difference:
    """Candidate minus baseline.

    Attributes:
        value: The difference.
        stderr: Its standard error; None when it is unknown.
        ci_low, ci_high: Ends of its interval; None when there is none.
        test: What gave `p`; None when nothing was tested.
        p: Two-sided p of no difference; None without a test.
        mde: Minimum detectable effect; None without a standard error.
    """

    value: float
    stderr: float | None
    ci_low: float | None
    ci_high: float | None
    test: str | None
    p: float | None
    mde: float | None


def paired_difference(
    baseline: Scores, candidate: Scores, alpha: float = ALPHA, power: float = POWER, seed: int = SEED
) -> Difference:
    """Compare two sets of scores of the same questions, in the same order.

    One right-or-wrong answer per question: McNemar's exact test with the Bonett-Price interval. Everything else:
    permutation of signs, and a bootstrap, of the questions' differences (of the clusters', where there are any).

    Args:
        baseline, candidate: As `scores.shared` returns them, at least one question.
        alpha: Level; the interval has confidence 1 - alpha.
        power: For the minimum detectable effect.
        seed: Of resampling: equal scores give equal answers.

    Raises:
        ValueError: they are not of the same questions.
    """
    if baseline.ids != candidate.ids or not baseline.ids:
        raise ValueError("paired scores need the same questions, and at least one")
    changes = candidate.values - baseline.values
    value = float(changes.mean())
    if baseline.binary and candidate.binary and baseline.plain and candidate.plain:
        lost, won = int((changes < 0).sum()), int((changes > 0).sum())
        low, high, stderr = bonett_price(lost, won, len(changes), alpha)
        mde = minimum_detectable_effect(stderr, alpha, power)
        return Difference(value, stderr, low, high, MCNEMAR, mcnemar_exact(lost, won), mde)
    difference = Scores(baseline.ids, changes, baseline.clusters, baseline.answers, binary=False)
    error = clustered_stderr(difference)
    ends = _interval(baseline, candidate, difference, error, alpha, seed) or (None, None)
    p = sign_flip(difference.totals()[0], seed)
    smallest = minimum_detectable_effect(error, alpha, power) if error else None
    return Difference(value, error, ends[0], ends[1], SIGN_FLIP, p, smallest)


def unpaired_difference(
    baseline: tuple[float, float | None],
    candidate: tuple[float, float | None],
    alpha: float = ALPHA,
    power: float = POWER,
) -> Difference:
    """Compare two (value, standard error) as if they were of different samples.

    For scores whose samples are not recorded; shared samples would tell more, so this errs on the side of "not
    distinguishable". Without both standard errors nothing is tested.
    """
    value = candidate[0] - baseline[0]
    if baseline[1] is None or candidate[1] is None:
        return Difference(value, None, None, None, None, None, None)
    stderr = math.hypot(baseline[1], candidate[1])
    if stderr == 0:
        return Difference(value, 0.0, None, None, None, None, None)
    half, p = z_value(alpha) * stderr, 2 * NormalDist().cdf(-abs(value) / stderr)
    mde = minimum_detectable_effect(stderr, alpha, power)
    return Difference(value, stderr, value - half, value + half, UNPAIRED, p, mde)


def mcnemar_exact(lost: int, won: int) -> float:
    """Return the exact two-sided p of McNemar's test (1947), Psychometrika 12:153: a binomial test of the flips.

    Args:
        lost: Questions that went from right to wrong.
        won: Questions that went from wrong to right.
    """
    if lost + won == 0:
        return 1.0
    from scipy.stats import binomtest

    return float(binomtest(lost, lost + won, 0.5).pvalue)


def bonett_price(lost: int, won: int, n: int, alpha: float = ALPHA) -> tuple[float, float, float]:
    """Return the ends of the interval of (won - lost) / n, and the standard error behind it.

    This is the adjusted Wald interval of Bonett & Price (2012), Journal of Educational and Behavioral Statistics
    37:479. It adds one flip to either side, so it has a width even where nothing flipped. It is one of the intervals
    that Fagerland, Lydersen & Laake (2014), Statistics in Medicine 33:2850, recommend.
    """
    down, up = (lost + 1) / (n + 2), (won + 1) / (n + 2)
    stderr = math.sqrt((up + down - (up - down) ** 2) / (n + 2))
    half = z_value(alpha) * stderr
    return max(-1.0, up - down - half), min(1.0, up - down + half), stderr


def sign_flip(differences: Floats, seed: int = SEED) -> float:
    """Return the two-sided p of the permutation of signs: under no difference each could as well have the other sign.

    All 2^n signs where there are few, else `RESAMPLES` drawn ones, the observed one counted among them (Phipson & Smyth
    (2010), SAGMB 9:39). As scipy computes it; Fisher's randomisation test for paired data.
    """
    changed = differences[differences != 0]
    # A single change has either sign with the same chance.
    if len(changed) < 2:
        return 1.0
    from scipy.stats import permutation_test

    def total(values: Floats, axis: int) -> Any:
        # Sums that differ by their order alone are equal: scipy's tolerance is relative, and none at a sum of 0.
        return values.sum(axis=axis).round(_SUM_DECIMALS)

    found = permutation_test(
        (changed,),
        total,
        permutation_type="samples",
        vectorized=True,
        n_resamples=RESAMPLES,
        batch=max(1, _BATCH_NUMBERS // len(changed)),
        rng=np.random.default_rng(seed),
    )
    return float(min(1.0, found.pvalue))


def holm(p_values: Sequence[float]) -> list[float]:
    """Return Holm's adjusted p, in the same order: below alpha, a task differs with chance alpha of any false alarm.

    Holm (1979), Scandinavian Journal of Statistics 6:65. scipy has no step-down correction, and statsmodels, which has,
    would bring a dozen packages.
    """
    adjusted = [0.0] * len(p_values)
    highest = 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=lambda one: p_values[one])):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = highest
    return adjusted


def minimum_detectable_effect(stderr: float, alpha: float = ALPHA, power: float = POWER) -> float:
    """Return the true difference that a two-sided test at `alpha` finds with chance `power`.

    (z(1 - alpha / 2) + z(power)) * stderr: Bloom (1995), Evaluation Review 19:547; Miller (2024), arXiv:2411.00640.
    """
    return (z_value(alpha) + NormalDist().inv_cdf(power)) * stderr


def _interval(
    baseline: Scores, candidate: Scores, difference: Scores, stderr: float | None, alpha: float, seed: int
) -> tuple[float, float] | None:
    if not difference.values.any():
        # No change at all says how rare changes are, and, where scores are bounded, how large they can be.
        bounded = all(side.values.min() >= 0 and side.values.max() <= 1 for side in (baseline, candidate))
        return bonett_price(0, 0, difference.cluster_count, alpha)[:2] if bounded else None
    if difference.cluster_count > BOOTSTRAP_UP_TO and stderr is not None:
        value, half = float(difference.values.mean()), z_value(alpha) * stderr
        return value - half, value + half
    return bootstrap(difference, alpha, seed)
