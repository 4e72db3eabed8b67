"""How often intervals hold the truth, and how often paired tests raise a false alarm; prints Markdown tables.

    .venv/bin/python benchmarks/statistics_coverage.py [--rounds N]

Proportions are computed exactly, from the binomial distribution; the rest is simulated, seeded.
"""

import argparse
import math
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from scipy import stats
from tabulate import tabulate

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scripts"))

from snakeval.results.statistics.estimates import estimate, wilson
from snakeval.results.statistics.paired import Difference, paired_difference
from snakeval.results.statistics.scores import Scores, make_scores

SIZES = (20, 50, 100, 500, 2000)
PROPORTIONS = np.linspace(0.05, 0.95, 181)


def proportions() -> Iterator[list[str]]:
    """Yield per n the coverage of Wilson's interval over p from 0.05 to 0.95."""
    for n in SIZES:
        right = np.arange(n + 1)
        low, high = np.array([wilson(one / n, n) for one in right]).T
        held = (low[:, None] <= PROPORTIONS) & (high[:, None] >= PROPORTIONS)
        covered = (stats.binom.pmf(right[:, None], n, PROPORTIONS) * held).sum(axis=0)
        outside = np.mean((covered < 0.93) | (covered > 0.97))
        worst = PROPORTIONS[covered.argmin()]
        yield [str(n), _share(covered.mean()), f"{_share(covered.min())} (p = {worst:.3f})", _share(outside)]


def other_scores(rounds: int) -> Iterator[list[str]]:
    """Yield the coverage of the interval of a mean of other scores, by kind of score and n."""
    for name, draw in {"repeats": _repeats, "clusters": _clusters, "graded": _graded, "skewed": _skewed}.items():
        for n in (20, 100, 500):
            rng, held = np.random.default_rng(n), 0
            for _ in range(rounds):
                scores, truth = draw(rng, n)
                found = estimate(scores)
                held += (
                    found.ci_low is not None and found.ci_high is not None and found.ci_low <= truth <= found.ci_high
                )
            yield [name, str(n), _share(held / rounds)]


def differences(rounds: int) -> Iterator[list[str]]:
    """Yield the coverage of the interval of a difference, and the level of its test, by kind of score and n."""
    for name, draw in {"right or wrong": _flips, "repeats": _repeated_pairs, "graded": _graded_pairs}.items():
        for n in (20, 100, 500):
            rng, held, alarms = np.random.default_rng(n), 0, 0
            for _ in range(rounds):
                before, after, truth = draw(rng, n)
                found: Difference = paired_difference(before, after)
                held += (
                    found.ci_low is not None and found.ci_high is not None and found.ci_low <= truth <= found.ci_high
                )
                alarms += found.p is not None and found.p < 0.05
            yield [name, str(n), found.test or "", _share(held / rounds), _share(alarms / rounds)]


def _repeats(rng: np.random.Generator, n: int) -> tuple[Scores, float]:
    """Four answers each to questions of different difficulty, solved with a chance of 0.7 on average."""
    chances = rng.beta(1.4, 0.6, n)
    return make_scores({i: (rng.random(4) < chance).astype(float).tolist() for i, chance in enumerate(chances)}), 0.7


def _clusters(rng: np.random.Generator, n: int) -> tuple[Scores, float]:
    """Right-or-wrong answers in groups of five that share a difficulty."""
    chances = np.repeat(rng.beta(1.4, 0.6, n // 5), 5)
    answers = {i: [float(rng.random() < chance)] for i, chance in enumerate(chances)}
    return make_scores(answers, {i: i // 5 for i in answers}), 0.7


def _graded(rng: np.random.Generator, n: int) -> tuple[Scores, float]:
    return _single(rng.beta(2, 3, n)), 0.4


def _skewed(rng: np.random.Generator, n: int) -> tuple[Scores, float]:
    return _single(rng.beta(0.3, 2.7, n)), 0.1


def _flips(rng: np.random.Generator, n: int) -> tuple[Scores, Scores, float]:
    """Two models without a difference that disagree on a fifth of the questions."""
    before, flipped = rng.random(n) < 0.5, rng.random(n) < 0.2
    return _single(before.astype(float)), _single((before ^ flipped).astype(float)), 0.0


def _repeated_pairs(rng: np.random.Generator, n: int) -> tuple[Scores, Scores, float]:
    chances = rng.beta(1.4, 0.6, n)
    sides = [
        make_scores({i: (rng.random(4) < chance).astype(float).tolist() for i, chance in enumerate(chances)})
        for _ in range(2)
    ]
    return sides[0], sides[1], 0.0


def _graded_pairs(rng: np.random.Generator, n: int) -> tuple[Scores, Scores, float]:
    common = rng.random(n)
    return _single((common + rng.beta(2, 3, n)) / 2), _single((common + rng.beta(2, 3, n)) / 2), 0.0


def _holds(low: float | None, high: float | None, truth: float) -> bool:
    return low is not None and high is not None and low <= truth <= high


def _single(values: np.ndarray) -> Scores:
    return make_scores({index: [float(value)] for index, value in enumerate(values)})


def _share(value: float) -> str:
    return f"{100 * value:.1f} %"


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=1000, help="simulated data sets for each line")
    rounds = parser.parse_args().rounds
    print(tabulate(proportions(), ["n", "mean", "lowest", "share of p outside 93 to 97 %"], tablefmt="github"))
    print(f"\n{rounds} rounds, so 95 % is known to +- {196 * math.sqrt(0.05 * 0.95 / rounds):.1f} %\n")
    print(tabulate(other_scores(rounds), ["scores", "n", "coverage"], tablefmt="github"), "\n")
    print(tabulate(differences(rounds), ["scores", "n", "test", "coverage", "false alarms"], tablefmt="github"))


if __name__ == "__main__":
    main()
