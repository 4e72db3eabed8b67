"""What the gateway replies, as far as runners look into it beside the answers themselves."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from .fields import Fields
from .samples import ReplyFacts

GATEWAY = "snakeval_gateway"
_Number = TypeVar("_Number", int, float)


@dataclass(frozen=True)
class Refusal:
    """Why a request has no answer for good.

    Attributes:
        kind: Short and countable, e.g. "server error".
        detail: What was seen.
    """

    kind: str
    detail: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.detail}"


def refusal_of(error: Fields) -> Refusal | None:
    """Return what the gateway says in the `error` of a reply; None where that is not from the gateway."""
    if error.text_or_none("type") != GATEWAY:
        return None
    kind = error.text("code")
    return Refusal(kind, error.text("message").removeprefix(f"{kind}: "))


def describe(refusals: Sequence[Refusal], asked: int, failed: int) -> str:
    """Say how many samples have no answer and why.

    Args:
        refusals: In the order in which they came; what the first one saw is the example.
        asked: Samples of the task.
        failed: Those of them without a complete answer.
    """
    counts = Counter(refusal.kind for refusal in refusals)
    kinds = ", ".join(f"{kind} ({count}x)" for kind, count in counts.most_common())
    example = next((" ".join(refusal.detail.split()) for refusal in refusals if refusal.detail.strip()), "")
    return f"{failed} of {asked} samples got no answer: {kinds}" + (f", e.g. '{example[:200]}'" if example else "")


def facts_of(body: Fields) -> ReplyFacts:
    """Return what is known of an answer beside its text."""
    choice, usage = body.parts("choices")[0], body.part_or_empty("usage")
    return ReplyFacts(
        finish_reason=choice.text_or_none("finish_reason"),
        prompt_tokens=usage.count_or_none("prompt_tokens"),
        completion_tokens=usage.count_or_none("completion_tokens"),
        latency_s=body.part_or_empty("snakeval").number_or_none("latency_s"),
    )


def joined(facts: Sequence[ReplyFacts]) -> ReplyFacts:
    """Return the facts of a sample from those of its answers: the first finish reason, and sums of what is known."""
    if not facts:
        return ReplyFacts()
    latency_s = _total([one.latency_s for one in facts])
    return ReplyFacts(
        finish_reason=facts[0].finish_reason,
        prompt_tokens=_total([one.prompt_tokens for one in facts]),
        completion_tokens=_total([one.completion_tokens for one in facts]),
        latency_s=None if latency_s is None else round(latency_s, 3),
    )


def _total(values: Sequence[_Number | None]) -> _Number | None:
    known = [value for value in values if value is not None]
    return sum(known[1:], known[0]) if known else None
