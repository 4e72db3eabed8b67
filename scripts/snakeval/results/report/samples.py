"""Packs the samples of a task for the page: the worst first, as many as fit, the number of the others told."""

import base64
import gzip
import heapq
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from snakeval.errors import HarnessError
from snakeval.results.samples import read_samples_file
from snakeval.results.summary import headline_metric, metric_label

# Per deployment and task; what a person can look through.
MOST_SAMPLES = 1_000
# Of one text; a prompt may be a whole book.
MOST_CHARACTERS = 4_000
# Of one task: the browser unpacks them all at once.
MOST_BYTES = 4_000_000
WRONG, BETWEEN, RIGHT, UNSCORED = "wrong", "between", "right", "unscored"
_QUESTION = ("task", "doc_id", "prompt", "expected")
_ANSWER = ("repeat", "answer", "finish_reason", "prompt_tokens", "completion_tokens", "latency_s")


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
    metrics: Sequence[Mapping[str, Any]]


@dataclass
class Picked:
    """The worst samples of a task on one deployment.

    Attributes:
        samples: (state, score, what the page shows of the sample), the worst first.
        counts: State -> number of all samples, those that were not picked too.
        damage: Why the file could not be read to its end, None when it could.
    """

    samples: list[tuple[str, float | None, dict[str, Any]]] = field(default_factory=list)
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


def pick(samples: Iterable[dict[str, Any]], metric: Mapping[str, Any], most: int = MOST_SAMPLES) -> Picked:
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
    picked = [pick(read_samples_file(source.file), headline_metric(source.metrics), most) for source in sources]
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


def _ranked(
    samples: Iterable[dict[str, Any]], metric: Mapping[str, Any], found: Picked
) -> Iterator[tuple[float, int, tuple[str, float | None, dict[str, Any]]]]:
    """Yield (goodness, number, entry) and count; the damage of a file ends it."""
    sign = -1 if metric["higher_is_better"] is False else 1
    number = 0
    try:
        for sample in samples:
            score = _score(sample, metric)
            state = state_of(score, metric["higher_is_better"])
            found.counts[state] = found.counts.get(state, 0) + 1
            yield math.inf if score is None else sign * score, number, (state, score, _shown(sample))
            number += 1
    except HarnessError as error:
        found.damage = str(error)


def _rank(entry: tuple[float, int, Any]) -> tuple[float, int]:
    return entry[:2]


def _score(sample: Mapping[str, Any], metric: Mapping[str, Any]) -> float | None:
    scores = sample.get("metrics")
    if not isinstance(scores, Mapping):
        return None
    names = [f"{metric['name']}[{metric['filter'] or 'none'}]"]
    if metric["filter"] in (None, "", "none"):
        names.append(metric["name"])
    value = next((scores[name] for name in names if name in scores), None)
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


def _content(sources: Sequence[Source], picked: Sequence[Picked], most: int) -> dict[str, Any]:
    """Return what the page's script reads: what deployments share of a sample (prompt, expected) is there once."""
    shared: dict[str, int] = {}
    rows = []
    for place, one in enumerate(picked):
        for state, score, sample in one.samples[:most]:
            question = shared.setdefault(json.dumps([sample[key] for key in _QUESTION]), len(shared))
            rows.append([place, question, state, score, *(sample[key] for key in _ANSWER)])
    deployments = [
        {
            "name": source.deployment,
            "counts": one.counts,
            "damage": one.damage,
            "metrics": [_metric(metric) for metric in source.metrics],
        }
        for source, one in zip(sources, picked, strict=True)
    ]
    return {"deployments": deployments, "questions": [json.loads(parts) for parts in shared], "samples": rows}


def _metric(metric: Mapping[str, Any]) -> list[Any]:
    numbers = (metric.get(name) for name in ("value", "stderr", "ci_low", "ci_high", "n"))
    return [metric["subtask"], metric_label(metric), *numbers]


def _shown(sample: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parts of a sample that the page shows; samples of own programs may have any form."""
    texts = {key: _text(sample.get(key)) for key in ("task", "doc_id", "prompt", "expected", "answer", "finish_reason")}
    numbers = {key: sample.get(key) for key in ("repeat", "prompt_tokens", "completion_tokens", "latency_s")}
    return texts | {key: value if isinstance(value, int | float) else None for key, value in numbers.items()}


def _text(value: Any) -> str | None:
    """Return a value as the page shows it; the middle of a long one is left out, with the number of characters."""
    if value is None:
        return None
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    if len(text) <= MOST_CHARACTERS:
        return text
    half = MOST_CHARACTERS // 2
    return f"{text[:half]}\n[... {len(text) - 2 * half} characters left out ...]\n{text[-half:]}"


def _encode(content: Mapping[str, Any]) -> str:
    # Escaped to ASCII: models may answer with half a surrogate pair, which no encoding takes.
    packed = gzip.compress(json.dumps(content, separators=(",", ":"), default=str).encode("ascii"), 6, mtime=0)
    return base64.b64encode(packed).decode("ascii")
