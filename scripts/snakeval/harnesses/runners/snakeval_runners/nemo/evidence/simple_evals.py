"""simple-evals: its cache has score, conversation and page of every sample, by number."""

import html
import re
from collections import defaultdict
from dataclasses import dataclass
from typing import Any

from ...shared.failures import RunnerError
from ...shared.samples import Sample
from ..journal import Journal
from ..request import NemoRequest
from .model import Evidence
from .replies import Replies

_EXPECTED = re.compile(r"<p>Correct Answer: (.*?)</p>", re.DOTALL)


def read_simple_evals(request: NemoRequest, journal: Journal) -> Evidence:
    """Return the samples; sample i of n has the numbers i, i + n, i + 2n, ... one for each repeat.

    Raises:
        RunnerError: samples are missing.
    """
    entries = _read_cache(request)
    asked, rest = divmod(len(entries), request.repeats)
    if rest or set(entries) != set(range(len(entries))):
        raise RunnerError("harness", f"simple-evals has left {len(entries)} answers for {request.repeats} repeats")
    replies = Replies(journal)
    counts: dict[tuple[str | None, str], int] = defaultdict(int)
    samples = []
    for number, entry in sorted(entries.items()):
        metrics = entry.sample_metrics()
        for name in metrics:
            counts[None, name] += 1
        for part in entry.parts():
            counts[part, "score"] += 1
        samples.append(_sample(number, asked, entry, replies))

    def count(subtask: str | None, name: str, _: str) -> int:
        if subtask is not None and subtask.startswith("pass@"):
            return counts[None, subtask] // request.repeats
        return counts[subtask, name.removesuffix("_macro")] // request.repeats

    return Evidence(samples, asked, count)


@dataclass(frozen=True)
class _Entry:
    """What the cache has of a sample: `metrics` holds a number for every part that it belongs to."""

    score: float | None
    metrics: dict[str, float]
    conversation: list[Any]
    html: str

    def sample_metrics(self) -> dict[str, float]:
        """The numbers of the sample itself."""
        metrics = {name: value for name, value in self.metrics.items() if name.startswith("pass@")}
        return metrics if self.score is None else metrics | {"score": self.score}

    def parts(self) -> list[str]:
        """The parts of the task that the sample belongs to."""
        return [name for name in self.metrics if not name.startswith("pass@")]


def _sample(number: int, asked: int, entry: _Entry, replies: Replies) -> Sample:
    asking = [message for message in entry.conversation if message["role"] != "assistant"]
    answers = [message["content"] for message in entry.conversation if message["role"] == "assistant"]
    expected = _EXPECTED.search(entry.html)
    prompt = str(asking[-1]["content"]) if asking else ""
    answer = answers[0] if len(answers) == 1 else answers
    parts = entry.parts()
    return Sample(
        task=parts[0] if parts else None,
        doc_id=number % asked,
        repeat=number // asked,
        prompt=prompt,
        answer=answer,
        expected=html.unescape(expected[1]) if expected else None,
        metrics=entry.sample_metrics(),
        reply=replies.take(prompt, answer),
    )


def _read_cache(request: NemoRequest) -> dict[int, _Entry]:
    from simple_evals.diskcaching import Cache

    (folder,) = request.output_path.glob("*/cache/cache.sqlite")
    with Cache(folder) as cache:
        kept = {int(key): cache[key] for key in cache}
    return {
        number: _Entry(entry["score"], entry["metrics"], entry["convo"] or [], entry["html"] or "")
        for number, entry in kept.items()
    }
