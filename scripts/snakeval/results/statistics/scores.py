"""The scores of single samples, arranged for statistics: questions, their repeats, and clusters of questions."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Scores:
    """Scores of one metric.

    Attributes:
        ids: One per question, each once.
        values: Score of each question, the mean over its repeats.
        clusters: Number of the cluster of each question, from 0; questions of one cluster are not independent.
        answers: Scored answers in all, questions times repeats.
        binary: Whether every single answer scores 0 or 1.
    """

    ids: tuple[Hashable, ...]
    values: Floats
    clusters: NDArray[np.intp]
    answers: int
    binary: bool

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def cluster_count(self) -> int:
        """Number of independent units."""
        return int(self.clusters.max()) + 1 if len(self) else 0

    @property
    def plain(self) -> bool:
        """Whether each question is one independent answer: no repeats, no clusters."""
        return self.answers == len(self) == self.cluster_count

    def totals(self) -> tuple[Floats, Floats]:
        """Return the sum of the values, and the number of questions, of each cluster."""
        count = self.cluster_count
        return (
            np.bincount(self.clusters, weights=self.values, minlength=count).astype(np.float64),
            np.bincount(self.clusters, minlength=count).astype(np.float64),
        )


def make_scores(answers: Mapping[Any, Sequence[float]], clusters: Mapping[Any, Hashable] | None = None) -> Scores:
    """Arrange scores.

    Args:
        answers: Per question the scores of its repeats, at least one.
        clusters: Name of the cluster of questions; a question that is not named is a cluster of its own.
    """
    named = clusters or {}
    # A name can equal a question's id without meaning it.
    labels: list[Any] = [("cluster", named[one]) if one in named else ("question", one) for one in answers]
    numbers = {label: number for number, label in enumerate(dict.fromkeys(labels))}
    return Scores(
        ids=tuple(answers),
        values=np.array([sum(repeats) / len(repeats) for repeats in answers.values()], dtype=np.float64),
        clusters=np.array([numbers[label] for label in labels], dtype=np.intp),
        answers=sum(len(repeats) for repeats in answers.values()),
        binary=all(value in (0.0, 1.0) for repeats in answers.values() for value in repeats),
    )


def shared(first: Scores, second: Scores) -> tuple[Scores, Scores]:
    """Return both restricted to the questions that both have, in the order of the first; clusters are the first's."""
    place = {one: index for index, one in enumerate(second.ids)}
    here = [index for index, one in enumerate(first.ids) if one in place]
    there = [place[first.ids[index]] for index in here]
    ids = tuple(first.ids[index] for index in here)
    _, clusters = np.unique(first.clusters[here], return_inverse=True)

    def part(whole: Scores, chosen: list[int]) -> Scores:
        repeats = whole.answers / len(whole) if len(whole) else 1.0
        return Scores(ids, whole.values[chosen], clusters, round(repeats * len(ids)), whole.binary)

    return part(first, here), part(second, there)
