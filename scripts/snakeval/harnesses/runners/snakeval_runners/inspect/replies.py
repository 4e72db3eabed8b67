"""What Inspect's log tells of the requests of a sample: the gateway's answers, and why others have none."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from inspect_ai.event import ModelEvent
from inspect_ai.log import EvalSample

from ..shared.failures import RequestError
from ..shared.fields import Fields
from ..shared.samples import ReplyFacts

GATEWAY = "snakeval_gateway"
# What the OpenAI client says when nobody listens, or the other side has gone.
CONNECTION_LOST = "Connection error."
_Number = TypeVar("_Number", int, float)


@dataclass(frozen=True)
class Unanswered:
    """A request that got no answer.

    Attributes:
        sample_id: Whose request it was.
        at: When it was sent.
        error: Why.
    """

    sample_id: str
    at: datetime
    error: RequestError


def requests_of(sample: EvalSample, model: str) -> list[ModelEvent]:
    """Return what was sent to a model for a sample, in its order."""
    events = (event for event in sample.events if isinstance(event, ModelEvent))
    return [event for event in events if event.model == model and event.call is not None]


def unanswered(samples: Sequence[EvalSample], model: str) -> list[Unanswered]:
    """Return the requests without an answer, the first one first.

    A task may have caught their errors, and Inspect itself makes answers of some (prompt too long, filtered).
    """
    return sorted((found for sample in samples for found in _unanswered(sample, model)), key=lambda found: found.at)


def _unanswered(sample: EvalSample, model: str) -> Iterator[Unanswered]:
    for event in requests_of(sample, model):
        told = _response(event)
        if told.text_or_none("type") == GATEWAY:
            kind = told.text("code")
            error = RequestError(kind, told.text("message").removeprefix(f"{kind}: "), retryable=False)
        elif event.error == CONNECTION_LOST:
            error = RequestError("connection error", "the task's gateway does not answer", retryable=False)
        else:
            # An answer, or a request that the task itself has cancelled.
            continue
        yield Unanswered(str(sample.id), event.timestamp, error)


def reply_facts(sample: EvalSample, model: str) -> ReplyFacts:
    """Return what is known of a sample's answers beside their text."""
    replies = [_response(event) for event in requests_of(sample, model)]
    usages = [reply.part_or_empty("usage") for reply in replies]
    return ReplyFacts(
        finish_reason=_finish_reason(sample, model),
        prompt_tokens=_sum(usage.count_or_none("prompt_tokens") for usage in usages),
        completion_tokens=_sum(usage.count_or_none("completion_tokens") for usage in usages),
        latency_s=_sum(reply.part_or_empty("snakeval").number_or_none("latency_s") for reply in replies),
    )


def _finish_reason(sample: EvalSample, model: str) -> str | None:
    """Return the endpoint's own word for the end of the sample's final answer, Inspect's where it wrote none."""
    if sample.output.empty:
        return None
    told: str = sample.output.stop_reason
    for event in requests_of(sample, model):
        choices = _response(event).list_or_empty("choices")
        if choices and not event.output.empty and event.output.message.id == sample.output.message.id:
            return Fields(choices[0]).text_or_none("finish_reason")
    return told


def _response(event: ModelEvent) -> Fields:
    return Fields(event.call.response if event.call and event.call.response else {})


def _sum(values: Iterable[_Number | None]) -> _Number | None:
    """Add what is known, None without any."""
    known = [value for value in values if value is not None]
    return sum(known) if known else None
