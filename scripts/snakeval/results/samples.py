"""Reads what `samples.jsonl.gz` says of scores: which sample, which repeat, which metric, how much."""

import gzip
import hashlib
import json
import math
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from snakeval.errors import HarnessError
from snakeval.results.statistics.scores import Scores, make_scores

SampleId = tuple[str | None, int | str]
_SAME = 1e-6


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

    def scores(self, metric: Mapping[str, Any]) -> Scores | None:
        """Return the scores behind a metric of the result, None when they are not recorded.

        Args:
            metric: With name, filter, subtask, value and n. Scores count as those behind the value only when there are
                n of them and the value is their mean.
        """
        name, plain = f"{metric['name']}[{metric['filter'] or 'none'}]", metric["filter"] in (None, "none")
        found = self.answers.get(name) or (self.answers.get(metric["name"]) if plain else None) or {}
        if metric["subtask"] is not None:
            found = {one: scores for one, scores in found.items() if one[0] == metric["subtask"]}
        if len(found) != metric["n"]:
            return None
        scores = make_scores(found, self.clusters)
        mean = float(scores.values.mean())
        return scores if math.isclose(mean, metric["value"], rel_tol=_SAME, abs_tol=_SAME) else None


def read_table(samples: Iterable[Mapping[str, Any]]) -> SampleTable:
    """Return the scores in samples; what has no `doc_id` or no `metrics` says nothing and is passed over."""
    table = SampleTable()
    for sample in samples:
        doc_id, task = sample.get("doc_id"), sample.get("task")
        metrics = sample.get("metrics")
        if not isinstance(doc_id, int | str) or isinstance(doc_id, bool) or not isinstance(metrics, Mapping):
            continue
        one = (task if isinstance(task, str) else None, doc_id)
        for name, value in metrics.items():
            if isinstance(value, int | float) and math.isfinite(value):
                table.answers.setdefault(str(name), {}).setdefault(one, []).append(float(value))
        if isinstance(sample.get("group"), str | int):
            table.clusters[one] = (one[0], str(sample["group"]))
        if sample.get("expected") is not None:
            text = json.dumps(sample["expected"], sort_keys=True, ensure_ascii=False, default=str)
            table.expected[one] = hashlib.sha256(text.encode()).hexdigest()[:16]
    return table


def read_samples_file(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the objects of a samples.jsonl.gz, nothing when it is absent.

    Raises:
        HarnessError: it is damaged.
    """
    try:
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            for line in lines:
                sample = json.loads(line)
                if not isinstance(sample, dict):
                    raise ValueError(f"a line is {type(sample).__name__}, not an object")
                yield sample
    except FileNotFoundError:
        return
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise HarnessError(f"{path} is damaged: {error}") from None
