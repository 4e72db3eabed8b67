"""Samples in lm-eval's form: one line per sample and filter, all repeats in it."""

import hashlib
import json
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from snakeval.results.exports.measured import as_text, sample_id

_FORBIDDEN = re.compile(r'["<>:/|\\?*\[\]\s]+')
_FILTERED = re.compile(r"(?P<metric>.+)\[(?P<filter>[^\[\]]*)\]", re.DOTALL)
Sample = Mapping[str, Any]


def merged(samples: Iterable[Sample], name: Callable[[str | None], str]) -> dict[str, list[dict[str, Any]]]:
    """Return the lines of every task.

    Args:
        samples: As in samples.jsonl.gz, one per sample and repeat.
        name: From the harness's name of a sample's task to the name in the files.
    """
    groups: dict[str, dict[int | str, list[Sample]]] = {}
    for sample in samples:
        task = sample.get("task")
        own = groups.setdefault(name(task if isinstance(task, str) else None), {})
        own.setdefault(sample_id(sample, len(own)), []).append(sample)
    return {
        task: sorted(
            (line for doc_id, group in own.items() for line in _lines(doc_id, group)),
            key=lambda line: str(line["filter"]),
        )
        for task, own in groups.items()
    }


def _lines(doc_id: int | str, group: list[Sample]) -> Iterator[dict[str, Any]]:
    first = group[0]
    prompt, target = as_text(first.get("prompt")), as_text(first.get("expected"))
    doc = {"prompt": prompt, "expected": target}
    answers = [as_text(sample.get("answer")) for sample in group]
    for kind, metrics in _by_filter(group).items():
        yield {
            "doc_id": doc_id,
            "doc": doc,
            "target": target,
            "arguments": {"gen_args_0": {"arg_0": prompt}},
            "resps": [answers],
            "filtered_resps": answers,
            "filter": kind,
            "metrics": list(metrics),
            "doc_hash": digest(json.dumps(doc, indent=2, ensure_ascii=False)),
            "prompt_hash": digest(prompt),
            "target_hash": digest(target),
            **metrics,
        }


def _by_filter(group: list[Sample]) -> dict[str, dict[str, float]]:
    """Return filter -> metric -> mean over the repeats; "none" alone when nothing was scored."""
    values: dict[str, dict[str, list[float]]] = {}
    for sample in group:
        metrics = sample.get("metrics")
        for name, value in metrics.items() if isinstance(metrics, Mapping) else ():
            if isinstance(value, int | float) and math.isfinite(value):
                found = _FILTERED.fullmatch(name)
                metric, kind = (found["metric"], found["filter"]) if found else (name, "none")
                values.setdefault(kind, {}).setdefault(metric, []).append(float(value))
    means = {kind: {name: sum(all_) / len(all_) for name, all_ in own.items()} for kind, own in values.items()}
    return means or {"none": {}}


def digest(text: str) -> str:
    """Return what lm-eval calls the hash of a text."""
    return hashlib.sha256(text.encode()).hexdigest()


def safe_name(name: str) -> str:
    """Return a name of a model or task as a part of a file name, as lm-eval makes it."""
    return _FORBIDDEN.sub("__", name)
