"""What lm-eval's simple_evaluate returns, as far as the runner looks into it."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Entry:
    """One sample by one filter.

    Attributes:
        doc_id: Number of the sample in its task.
        filter: How the answer was extracted.
        metrics: Values by name, of whatever type the task makes.
        arguments: Of each request: the prompt, and a continuation or settings.
        responses: Of each request: texts, or (log-probability, is greedy).
        target: The right answer, or its number among the choices.
    """

    doc_id: int
    filter: str
    metrics: Mapping[str, object]
    arguments: Sequence[Sequence[Any]]
    responses: Sequence[Sequence[Any]]
    target: object


@dataclass(frozen=True)
class Pass:
    """One evaluation of all samples.

    Attributes:
        results: Name of a task or group -> "metric,filter" -> value, and what else lm-eval says of it.
        samples: Name of a task -> its entries.
        higher_is_better: Name of a task or group -> metric -> whether it is; None where the members of a group differ.
        versions: Of the tasks' definitions.
        own_words: All but the samples, in lm-eval's words.
    """

    results: Mapping[str, Mapping[str, Any]]
    samples: Mapping[str, Sequence[Entry]]
    higher_is_better: Mapping[str, Mapping[str, bool | None]]
    versions: Mapping[str, object]
    own_words: Mapping[str, object]

    def by_sample(self, task: str) -> Mapping[int, Sequence[Entry]]:
        """Return the entries of each sample of a task, one for every filter."""
        grouped: dict[int, list[Entry]] = defaultdict(list)
        for entry in self.samples[task]:
            grouped[entry.doc_id].append(entry)
        return grouped


def read_pass(results: Mapping[str, Any]) -> Pass:
    """Return what simple_evaluate returned."""
    return Pass(
        results=results["results"],
        samples={task: [_entry(entry) for entry in entries] for task, entries in results["samples"].items()},
        higher_is_better=results["higher_is_better"],
        versions=results["versions"],
        own_words={key: value for key, value in results.items() if key != "samples"},
    )


def _entry(entry: Mapping[str, Any]) -> Entry:
    return Entry(
        doc_id=entry["doc_id"],
        filter=entry["filter"],
        metrics={name: entry[name] for name in entry["metrics"] if name in entry},
        arguments=entry["arguments"],
        responses=entry["resps"],
        target=entry["target"],
    )
