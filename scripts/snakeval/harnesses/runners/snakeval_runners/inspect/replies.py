"""What Inspect's log tells of the requests of a sample: the gateway's answers, and why others have none."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from inspect_ai.event import ModelEvent
from inspect_ai.log import EvalSample

from ..shared.fields import Fields
from ..shared.replies import Refusal, facts_of, joined, refusal_of
from ..shared.samples import ReplyFacts

# What the OpenAI client says when nobody listens, or the other side has gone.
CONNECTION_LOST = "Connection error."


@dataclass(frozen=True)
class Unanswered:
    """A request that got no answer.

    Attributes:
        sample_id: Whose request it was.
        at: When it was sent.
        why: The gateway's reason.
    """

    sample_id: str
    at: datetime
    why: Refusal


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
        why = refusal_of(_response(event))
        if why is None and event.error == CONNECTION_LOST:
            why = Refusal("connection error", "the task's gateway does not answer")
        # None for an answer, and for a request that the task itself has cancelled.
        if why is not None:
            yield Unanswered(str(sample.id), event.timestamp, why)


def reply_facts(sample: EvalSample, model: str) -> ReplyFacts:
    """Return what is known of a sample's answers beside their text."""
    replies = [_response(event) for event in requests_of(sample, model)]
    facts = joined([facts_of(reply) for reply in replies if "choices" in reply])
    return replace(facts, finish_reason=_finish_reason(sample, model))


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
