"""Harnesses of whose own files nothing is known: a sample for every conversation that the endpoint was to continue.

What is certain all the same: every request was answered, and the numbers are the harness's own.
"""

import json
from collections import Counter

from ...shared.completion import read_completion
from ...shared.fields import Fields
from ...shared.samples import Sample
from ..journal import Exchange, Journal
from ..request import NemoRequest
from .model import Evidence
from .replies import reply_facts


def read_conversations(request: NemoRequest, journal: Journal) -> Evidence:
    """Return the answered requests of this run; equal conversations are repeats of one sample."""
    numbers: dict[str, int] = {}
    repeats: Counter[int] = Counter()
    samples = []
    for exchange in journal.exchanges():
        asked = _asked(exchange.request)
        number = numbers.setdefault(json.dumps(asked, sort_keys=True), len(numbers))
        samples.append(_sample(number, repeats[number], asked, exchange))
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


def _sample(number: int, repeat: int, asked: object, exchange: Exchange) -> Sample:
    last = asked[-1] if isinstance(asked, list) and asked else asked
    return Sample(
        task=None,
        doc_id=number,
        repeat=repeat,
        prompt=_text(last["content"] if isinstance(last, dict) and "content" in last else last),
        answer=_answer(exchange),
        expected=None,
        metrics={},
        reply=reply_facts(exchange),
    )


def _text(content: object) -> str:
    """Return a message's text, without its pictures."""
    if isinstance(content, list):
        return "\n".join(str(part["text"]) for part in content if isinstance(part, dict) and "text" in part)
    return str(content)


def _answer(exchange: Exchange) -> object:
    """Return the text, several of them, or calls of tools; None for embeddings."""
    choices = read_completion(exchange.reply).choices
    said = [choice.tool_calls if choice.tool_calls and not choice.text else choice.text for choice in choices]
    return said[0] if len(said) == 1 else said or None
