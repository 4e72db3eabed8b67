"""simple-evals: its cache has score, conversation and page of every sample, by number."""

import html
import re
from collections import defaultdict
from typing import Any

from ...shared.failures import RunnerError
from ..request import RunRequest
from .model import Evidence
from .replies import Replies

_EXPECTED = re.compile(r"<p>Correct Answer: (.*?)</p>", re.DOTALL)


def read_simple_evals(request: RunRequest) -> Evidence:
    """Return the samples; sample i of n has the numbers i, i + n, i + 2n, ... one for each repeat.

    Raises:
        RunnerError: samples are missing.
    """
    entries = _read_cache(request)
    asked, rest = divmod(len(entries), request.repeats)
    if rest or set(entries) != set(range(len(entries))):
        raise RunnerError("harness", f"simple-evals has left {len(entries)} answers for {request.repeats} repeats")
    replies = Replies(request.answers_path)
    counts: dict[tuple[str | None, str], int] = defaultdict(int)
    samples = []
    for number, entry in sorted(entries.items()):
        own = {name: value for name, value in entry["metrics"].items() if name.startswith("pass@")}
        parts = [name for name in entry["metrics"] if name not in own]
        if entry["score"] is not None:
            own["score"] = entry["score"]
        for name in own:
            counts[None, name] += 1
        for part in parts:
            counts[part, "score"] += 1
        samples.append(_sample(number, asked, entry, parts, own, replies))

    def count(subtask: str | None, name: str, _: str) -> int:
        if subtask is not None and subtask.startswith("pass@"):
            return counts[None, subtask] // request.repeats
        return counts[subtask, name.removesuffix("_macro")] // request.repeats

    return Evidence(samples, asked, count)


def _sample(
    number: int, asked: int, entry: dict[str, Any], parts: list[str], own: dict[str, float], replies: Replies
) -> dict[str, Any]:
    conversation = entry["convo"] or []
    asking = [message for message in conversation if message["role"] != "assistant"]
    answers = [message["content"] for message in conversation if message["role"] == "assistant"]
    expected = _EXPECTED.search(entry["html"] or "")
    prompt = str(asking[-1]["content"]) if asking else ""
    return {
        "task": parts[0] if parts else None,
        "doc_id": number % asked,
        "repeat": number // asked,
        "prompt": prompt,
        "answer": answers[0] if len(answers) == 1 else answers,
        "expected": html.unescape(expected[1]) if expected else None,
        "metrics": own,
        **replies.of(prompt),
    }


def _read_cache(request: RunRequest) -> dict[int, dict[str, Any]]:
    from simple_evals.diskcaching import Cache

    (folder,) = request.output_path.glob("*/cache/cache.sqlite")
    with Cache(folder) as cache:
        return {int(key): cache[key] for key in cache}
