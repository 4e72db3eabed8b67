"""Samples in lm-eval's form: one line per sample and filter, all repeats in it."""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from snakeval.results.result import FreeJson
from snakeval.results.samples import Sample, as_text
from snakeval.system.hashing import sha256_hex

_FORBIDDEN = re.compile(r'["<>:/|\\?*\[\]\s]+')
_FILTERED = re.compile(r"(?P<metric>.+)\[(?P<filter>[^\[\]]*)\]", re.DOTALL)


@dataclass(frozen=True)
class Line:
    """What lm-eval writes of a sample and a filter; `metrics` are means over the repeats."""

    doc_id: int | str
    prompt: str
    target: str
    answers: Sequence[str]
    filter: str
    metrics: Mapping[str, float]

    @property
    def hashes(self) -> tuple[str, str, str]:
        """Of the question with its right answer, of the prompt, of the right answer."""
        doc = json.dumps(self._doc, indent=2, ensure_ascii=False)
        return digest(doc), digest(self.prompt), digest(self.target)

    @property
    def _doc(self) -> Mapping[str, str]:
        return {"prompt": self.prompt, "expected": self.target}

    def as_json(self) -> FreeJson:
        """Return it with lm-eval's keys; the names of metrics stand among them."""
        doc_hash, prompt_hash, target_hash = self.hashes
        return {
            "doc_id": self.doc_id,
            "doc": self._doc,
            "target": self.target,
            "arguments": {"gen_args_0": {"arg_0": self.prompt}},
            "resps": [self.answers],
            "filtered_resps": self.answers,
            "filter": self.filter,
            "metrics": list(self.metrics),
            "doc_hash": doc_hash,
            "prompt_hash": prompt_hash,
            "target_hash": target_hash,
            **self.metrics,
        }


def merged(samples: Iterable[Sample], name: Callable[[str | None], str]) -> dict[str, list[Line]]:
    """Return the lines of every task.

    Args:
        samples: One per sample and repeat.
        name: From the harness's name of a sample's task to the name in the files.
    """
    groups: dict[str, dict[int | str, list[Sample]]] = {}
    for sample in samples:
        own = groups.setdefault(name(sample.task), {})
        own.setdefault(sample.id_or(len(own)), []).append(sample)
    return {
        task: sorted(
            (line for doc_id, group in own.items() for line in _lines(doc_id, group)), key=lambda line: line.filter
        )
        for task, own in groups.items()
    }


def _lines(doc_id: int | str, group: Sequence[Sample]) -> Iterator[Line]:
    prompt, target = as_text(group[0].prompt), as_text(group[0].expected)
    answers = [as_text(sample.answer) for sample in group]
    for kind, metrics in _by_filter(group).items():
        yield Line(doc_id, prompt, target, answers, kind, metrics)


def _by_filter(group: Sequence[Sample]) -> dict[str, dict[str, float]]:
    """Return filter -> metric -> mean over the repeats; "none" alone when nothing was scored."""
    values: dict[str, dict[str, list[float]]] = {}
    for sample in group:
        for name, value in (sample.metrics or {}).items():
            found = _FILTERED.fullmatch(name)
            metric, kind = (found["metric"], found["filter"]) if found else (name, "none")
            values.setdefault(kind, {}).setdefault(metric, []).append(float(value))
    means = {kind: {name: sum(all_) / len(all_) for name, all_ in own.items()} for kind, own in values.items()}
    return means or {"none": {}}


def digest(text: str) -> str:
    """Return what lm-eval calls the hash of a text."""
    return sha256_hex(text)


def safe_name(name: str) -> str:
    """Return a name of a model or task as a part of a file name, as lm-eval makes it."""
    return _FORBIDDEN.sub("__", name)
