"""Harnesses of whose own files nothing is known: a sample for every conversation that the endpoint was to continue.

What is certain all the same: every request was answered, and the numbers are the harness's own.
"""

import json
from collections import Counter, defaultdict

from ...shared.completion import read_completion
from ...shared.fields import Fields
from ...shared.samples import Sample
from ..journal import RESUMED, SENT, KeptAnswer, read_answers, read_events
from ..request import NemoRequest
from .model import Evidence
from .replies import reply_body, reply_facts


def read_conversations(request: NemoRequest) -> Evidence:
    """Return the answered requests of this attempt; equal conversations are repeats of one sample."""
    answers: dict[str, list[KeptAnswer]] = defaultdict(list)
    for kept in read_answers(request.answers_path):
        answers[kept.key].append(kept)
    given: Counter[str] = Counter()
    numbers: dict[str, int] = {}
    repeats: Counter[int] = Counter()
    samples = []
    for event in read_events(request.events_path):
        if event.event not in (SENT, RESUMED):
            continue
        kept = answers[event.key][given[event.key]]
        given[event.key] += 1
        asked = _asked(kept.request)
        number = numbers.setdefault(json.dumps(asked, sort_keys=True), len(numbers))
        samples.append(_sample(number, repeats[number], asked, kept))
        repeats[number] += 1
    return Evidence(
        samples,
        len(numbers),
        lambda *_: len(numbers),
        lower_is_better=None,
        # A limit is one of the harness's samples, which may need several requests.
        limited_parts=max(len(numbers), 1),
        trusts_counts=True,
    )


def _asked(body: Fields) -> object:
    return next((body.value(name) for name in ("messages", "prompt", "input") if name in body), None)


def _sample(number: int, repeat: int, asked: object, kept: KeptAnswer) -> Sample:
    last = asked[-1] if isinstance(asked, list) and asked else asked
    return Sample(
        task=None,
        doc_id=number,
        repeat=repeat,
        prompt=_text(last["content"] if isinstance(last, dict) and "content" in last else last),
        answer=_answer(kept),
        expected=None,
        metrics={},
        reply=reply_facts(kept),
    )


def _text(content: object) -> str:
    """Return a message's text, without its pictures."""
    if isinstance(content, list):
        return "\n".join(str(part["text"]) for part in content if isinstance(part, dict) and "text" in part)
    return str(content)


def _answer(kept: KeptAnswer) -> object:
    """Return the text, several of them, or calls of tools; None for embeddings."""
    choices = read_completion(reply_body(kept)).choices
    said = [choice.tool_calls if choice.tool_calls and not choice.text else choice.text for choice in choices]
    return said[0] if len(said) == 1 else said or None
