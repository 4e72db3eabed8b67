"""`samples.jsonl.gz`: what a line of it says, its only reader, its only writer, and tables of the scores in it."""

import gzip
import json
import math
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from snakeval.errors import HarnessError
from snakeval.harnesses.base import Metric
from snakeval.results.metrics import names_in_samples
from snakeval.results.result import FreeJson
from snakeval.results.statistics.scores import Scores, make_scores
from snakeval.system.files import replacing
from snakeval.system.hashing import sha256_hex

SampleId = tuple[str | None, int | str]
_SAME = 1e-6


@dataclass(frozen=True)
class Sample:
    """One answer to one question.

    A line may have more keys; they stay in the file. A user's program may write anything, so a value of another type
    than the one named here is read as None.

    Attributes:
        task: The harness's name of the task or subtask.
        doc_id, prompt, answer, expected, finish_reason: As they were written, any JSON.
        repeat, prompt_tokens, completion_tokens, latency_s: Numbers, as they were written.
        metrics: Name of the metric -> score, only finite scores.
        group: Name of the group of samples that belong together.
    """

    task: str | None
    doc_id: Any
    prompt: Any
    answer: Any
    expected: Any
    finish_reason: Any
    repeat: float | None
    prompt_tokens: float | None
    completion_tokens: float | None
    latency_s: float | None
    metrics: Mapping[str, float] | None
    group: str | None

    @classmethod
    def of(cls, line: FreeJson) -> Self:
        """Return what a parsed line says."""
        task, group = line.get("task"), line.get("group")
        names = ("doc_id", "prompt", "answer", "expected", "finish_reason")
        numbers = ("repeat", "prompt_tokens", "completion_tokens", "latency_s")
        return cls(
            task=task if isinstance(task, str) else None,
            **{name: line.get(name) for name in names},
            **{name: _number(line.get(name)) for name in numbers},
            metrics=_scores(line.get("metrics")),
            group=str(group) if isinstance(group, str | int) else None,
        )

    @property
    def id(self) -> int | str | None:
        """The id of the question; None when there is none that can be used."""
        usable = isinstance(self.doc_id, int | str) and not isinstance(self.doc_id, bool)
        return self.doc_id if usable else None

    def id_or(self, position: int) -> int | str:
        """Return the id; programs of users need not give any, then each sample is a question of its own."""
        return position if self.id is None else self.id


@dataclass
class SampleTable:
    """The scores of a task's samples.

    Attributes:
        answers: Metric, as samples name it, -> (task, doc_id) -> scores of the repeats.
        clusters: (task, doc_id) -> name of the group of samples that belong together (key `group`).
        expected: (task, doc_id) -> digest of the right answer.
    """

    answers: dict[str, dict[SampleId, list[float]]] = field(default_factory=dict)
    clusters: dict[SampleId, tuple[str | None, str]] = field(default_factory=dict)
    expected: dict[SampleId, str] = field(default_factory=dict)

    def scores(self, metric: Metric) -> Scores | None:
        """Return the scores behind a metric of the result, None when they are not recorded.

        Scores count as those behind the value only when there are `n` of them and the value is their mean.
        """
        found = next((self.answers[name] for name in names_in_samples(metric) if name in self.answers), {})
        if metric.subtask is not None:
            found = {one: scores for one, scores in found.items() if one[0] == metric.subtask}
        if len(found) != metric.n:
            return None
        scores = make_scores(found, self.clusters)
        mean = float(scores.values.mean())
        return scores if math.isclose(mean, metric.value, rel_tol=_SAME, abs_tol=_SAME) else None


def read_table(samples: Iterable[Sample]) -> SampleTable:
    """Return the scores in samples; what has no id or no metrics says nothing and is passed over."""
    table = SampleTable()
    for sample in samples:
        if sample.id is None or sample.metrics is None:
            continue
        one = (sample.task, sample.id)
        for name, value in sample.metrics.items():
            table.answers.setdefault(name, {}).setdefault(one, []).append(float(value))
        if sample.group is not None:
            table.clusters[one] = (one[0], sample.group)
        if sample.expected is not None:
            text = json.dumps(sample.expected, sort_keys=True, ensure_ascii=False, default=str)
            table.expected[one] = sha256_hex(text, 16)
    return table


def read_samples(path: Path) -> Iterator[Sample]:
    """Yield the samples of a samples.jsonl.gz, nothing when it is absent.

    Raises:
        HarnessError: it is damaged.
    """
    try:
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            for line in lines:
                content = json.loads(line)
                if not isinstance(content, dict):
                    raise ValueError(f"a line is {type(content).__name__}, not an object")
                yield Sample.of(content)
    except FileNotFoundError:
        return
    except (OSError, EOFError, ValueError, RecursionError, zlib.error) as error:
        raise HarnessError(f"{path} is damaged: {error}") from None


def write_samples(path: Path, lines: Iterable[FreeJson]) -> int:
    """Write one JSON line per sample and repeat, gzip, atomically; returns the number of lines.

    Args:
        path: The file.
        lines: As the harness made them, with the keys of `Sample` and keys of its own.
    """
    count = 0
    # No name and no time in the header: equal samples make equal bytes.
    with replacing(path) as raw, gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0) as packed:
        for line in lines:
            # Half a surrogate pair, which a model may answer with, is written as JSON's own escape.
            packed.write(json.dumps(line, ensure_ascii=False).encode(errors="backslashreplace") + b"\n")
            count += 1
    return count


def as_text(value: Any) -> str:
    """Return a prompt, an answer or what was expected as text, whatever the harness has made of it."""
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _number(value: Any) -> float | None:
    return value if isinstance(value, int | float) else None


def _scores(metrics: Any) -> Mapping[str, float] | None:
    if not isinstance(metrics, Mapping):
        return None
    return {name: value for name, value in metrics.items() if isinstance(value, int | float) and math.isfinite(value)}
