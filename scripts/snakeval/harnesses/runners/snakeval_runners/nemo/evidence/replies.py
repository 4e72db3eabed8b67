"""What the endpoint said beside the text of its answers."""

from collections import defaultdict
from dataclasses import replace
from typing import TypeVar

from ...shared.completion import read_completion
from ...shared.fields import Fields
from ...shared.samples import ReplyFacts
from ..journal import Exchange, Journal


class Replies:
    """The replies of this run, found by the last text of the request; each is given out once."""

    def __init__(self, journal: Journal) -> None:
        self._by_prompt: dict[str, list[tuple[list[str | None], ReplyFacts]]] = defaultdict(list)
        for exchange in journal.exchanges():
            self._by_prompt[_last_text(exchange.request)].append((_texts(exchange), reply_facts(exchange)))

    def take(self, prompt: str, answer: object = None) -> ReplyFacts:
        """Return the facts of a reply to a prompt, with this text where there is one; unknown when there is none."""
        replies = self._by_prompt.get(prompt)
        if not replies:
            return ReplyFacts()
        texts = [text for text, _ in replies]
        return replies.pop(next((place for place, text in enumerate(texts) if answer in text), 0))[1]

    def take_all(self, prompts: list[str]) -> ReplyFacts:
        """Return the facts of a sample that needed a reply to each of several prompts."""
        first, *others = [self.take(prompt) for prompt in prompts]
        for other in others:
            first = replace(
                first,
                prompt_tokens=_sum(first.prompt_tokens, other.prompt_tokens),
                completion_tokens=_sum(first.completion_tokens, other.completion_tokens),
                latency_s=_sum(first.latency_s, other.latency_s),
            )
        return first


_Number = TypeVar("_Number", int, float)


def _sum(one: _Number | None, other: _Number | None) -> _Number | None:
    return None if one is None or other is None else one + other


def _last_text(request: Fields) -> str:
    messages = request.list_or_empty("messages")
    if messages:
        return str(Fields(messages[-1]).value("content"))
    prompt = request.value_or_none("prompt") or ""
    return str(prompt[0] if isinstance(prompt, list) and len(prompt) == 1 else prompt)


def _texts(exchange: Exchange) -> list[str | None]:
    return [choice.text for choice in read_completion(exchange.reply).choices]


def reply_facts(exchange: Exchange) -> ReplyFacts:
    """Return what an answered request says beside the text."""
    completion = read_completion(exchange.reply)
    return ReplyFacts(
        finish_reason=completion.choices[0].finish_reason if completion.choices else None,
        prompt_tokens=completion.prompt_tokens,
        completion_tokens=completion.completion_tokens,
        latency_s=exchange.latency_s,
    )
