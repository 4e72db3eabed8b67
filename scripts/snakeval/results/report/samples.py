"""Packs the samples of a task for the page: the worst first, as many as fit, the number of the others told."""

import base64
import gzip
import heapq
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self, TypedDict

from snakeval.errors import HarnessError
from snakeval.harnesses.base import Metric
from snakeval.results.metrics import headline_metric, metric_label, names_in_samples
from snakeval.results.samples import Sample, read_samples

# Per deployment and task; what a person can look through.
MOST_SAMPLES = 1_000
# Of one text; a prompt may be a whole book.
MOST_CHARACTERS = 4_000
# Of one task: the browser unpacks them all at once.
MOST_BYTES = 4_000_000
WRONG, BETWEEN, RIGHT, UNSCORED = "wrong", "between", "right", "unscored"
# A cell of the JSON that the page's script reads.
_Cell = str | float | None


@dataclass(frozen=True)
class Source:
    """The samples of a task on one deployment.

    Attributes:
        deployment: Its name.
        file: samples.jsonl.gz.
        metrics: Of the result, as in result.json.
    """

    deployment: str
    file: Path
    metrics: Sequence[Metric]


@dataclass(frozen=True)
class Shown:
    """What the page shows of a sample: `question` is what deployments share, `reply` what is their own."""

    task: str | None
    doc_id: str | None
    prompt: str | None
    expected: str | None
    repeat: float | None
    answer: str | None
    finish_reason: str | None
    prompt_tokens: float | None
    completion_tokens: float | None
    latency_s: float | None

    @classmethod
    def of(cls, sample: Sample) -> Self:
        """Return the parts of a sample that the page shows."""
        return cls(
            task=_text(sample.task),
            doc_id=_text(sample.doc_id),
            prompt=_text(sample.prompt),
            expected=_text(sample.expected),
            repeat=sample.repeat,
            answer=_text(sample.answer),
            finish_reason=_text(sample.finish_reason),
            prompt_tokens=sample.prompt_tokens,
            completion_tokens=sample.completion_tokens,
            latency_s=sample.latency_s,
        )

    @property
    def question(self) -> list[_Cell]:
        """In the order that the page's script reads."""
        return [self.task, self.doc_id, self.prompt, self.expected]

    @property
    def reply(self) -> list[_Cell]:
        """In the order that the page's script reads."""
        counts = [self.prompt_tokens, self.completion_tokens, self.latency_s]
        return [self.repeat, self.answer, self.finish_reason, *counts]


@dataclass(frozen=True)
class Ranked:
    """A sample with its score, and whether that means a right answer."""

    state: str
    score: float | None
    shown: Shown


class _Deployment(TypedDict):
    name: str
    counts: Mapping[str, int]
    damage: str | None
    metrics: Sequence[Sequence[_Cell]]


class _Content(TypedDict):
    """What the page's script reads."""

    deployments: Sequence[_Deployment]
    questions: Sequence[Sequence[_Cell]]
    samples: Sequence[Sequence[_Cell]]


@dataclass
class Picked:
    """The worst samples of a task on one deployment.

    Attributes:
        samples: The worst first.
        counts: State -> number of all samples, those that were not picked too.
        damage: Why the file could not be read to its end, None when it could.
    """

    samples: list[Ranked] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    damage: str | None = None

    @property
    def total(self) -> int:
        """The number of all samples."""
        return sum(self.counts.values())


@dataclass(frozen=True)
class Packed:
    """The samples of a task, ready for the page.

    Attributes:
        text: gzip of the JSON that the page's script reads, as base64.
        shown, total: Number of samples in it, and of all.
    """

    text: str
    shown: int
    total: int


def pick(samples: Iterable[Sample], metric: Metric, most: int = MOST_SAMPLES) -> Picked:
    """Return the worst samples by a metric; of equals, and of those without a score (which come last), the first."""
    found = Picked()
    found.samples = [entry for _, _, entry in heapq.nsmallest(most, _ranked(samples, metric, found), key=_rank)]
    return found


def state_of(score: float | None, higher_is_better: bool | None) -> str:
    """Return whether a score means a right answer (1, or 0 where less is better), a wrong one, or neither."""
    if score is None:
        return UNSCORED
    if score not in (0.0, 1.0):
        return BETWEEN
    return RIGHT if (score == 1.0) == (higher_is_better is not False) else WRONG


def pack(sources: Sequence[Source], budget: int, most: int = MOST_SAMPLES) -> Packed:
    """Pack the samples of a task on all its deployments.

    Args:
        sources: One per deployment that has a result.
        budget: Characters that the text may have, `MOST_BYTES` at most.
        most: Samples per deployment; fewer when the budget asks for it.
    """
    picked = [pick(read_samples(source.file), headline_metric(source.metrics), most) for source in sources]
    limit, most = min(budget, MOST_BYTES), max((len(one.samples) for one in picked), default=0)
    total = sum(one.total for one in picked)
    while True:
        text = _encode(_content(sources, picked, most))
        shown = sum(min(most, len(one.samples)) for one in picked)
        if len(text) <= limit or most == 0:
            return Packed(text, shown, total)
        most = min(most - 1, int(most * limit / len(text) * 0.95))


def decode(text: str) -> Any:
    """Return the content of a packed text, as the page's script does."""
    return json.loads(gzip.decompress(base64.b64decode(text)))


def _ranked(samples: Iterable[Sample], metric: Metric, found: Picked) -> Iterator[tuple[float, int, Ranked]]:
    """Yield (goodness, number, sample) and count; the damage of a file ends it."""
    sign = -1 if metric.higher_is_better is False else 1
    number = 0
    try:
        for sample in samples:
            score = _score(sample, metric)
            state = state_of(score, metric.higher_is_better)
            found.counts[state] = found.counts.get(state, 0) + 1
            yield math.inf if score is None else sign * score, number, Ranked(state, score, Shown.of(sample))
            number += 1
    except HarnessError as error:
        found.damage = str(error)


def _rank(entry: tuple[float, int, Ranked]) -> tuple[float, int]:
    return entry[:2]


def _score(sample: Sample, metric: Metric) -> float | None:
    scores = sample.metrics or {}
    value = next((scores[name] for name in names_in_samples(metric) if name in scores), None)
    return None if value is None else float(value)


def _content(sources: Sequence[Source], picked: Sequence[Picked], most: int) -> _Content:
    """Return what the page's script reads: what deployments share of a sample (prompt, expected) is there once."""
    shared: dict[str, int] = {}
    rows: list[list[_Cell]] = []
    for place, one in enumerate(picked):
        for ranked in one.samples[:most]:
            question = shared.setdefault(json.dumps(ranked.shown.question), len(shared))
            rows.append([place, question, ranked.state, ranked.score, *ranked.shown.reply])
    deployments = [
        _Deployment(
            name=source.deployment,
            counts=one.counts,
            damage=one.damage,
            metrics=[_metric(metric) for metric in source.metrics],
        )
        for source, one in zip(sources, picked, strict=True)
    ]
    return _Content(deployments=deployments, questions=[json.loads(parts) for parts in shared], samples=rows)


def _metric(metric: Metric) -> list[_Cell]:
    numbers = (metric.value, metric.stderr, metric.ci_low, metric.ci_high, metric.n)
    return [metric.subtask, metric_label(metric.name, metric.filter), *numbers]


def _text(value: Any) -> str | None:
    """Return a value as the page shows it; the middle of a long one is left out, with the number of characters."""
    if value is None:
        return None
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    if len(text) <= MOST_CHARACTERS:
        return text
    half = MOST_CHARACTERS // 2
    return f"{text[:half]}\n[... {len(text) - 2 * half} characters left out ...]\n{text[-half:]}"


def _encode(content: _Content) -> str:
    # Escaped to ASCII: models may answer with half a surrogate pair, which no encoding takes.
    packed = gzip.compress(json.dumps(content, separators=(",", ":"), default=str).encode("ascii"), 6, mtime=0)
    return base64.b64encode(packed).decode("ascii")
