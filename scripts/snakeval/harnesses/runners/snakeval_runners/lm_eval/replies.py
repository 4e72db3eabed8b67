"""What the gateway's replies hold beside the answer."""

import json

from ..shared.failures import RequestError
from ..shared.fields import Fields
from ..shared.samples import ReplyFacts


def facts_of(body: Fields) -> ReplyFacts:
    """Return what is known of an answer beside its text."""
    choice, usage = body.parts("choices")[0], body.part_or_empty("usage")
    return ReplyFacts(
        finish_reason=choice.text_or_none("finish_reason"),
        prompt_tokens=usage.count_or_none("prompt_tokens"),
        completion_tokens=usage.count_or_none("completion_tokens"),
        latency_s=body.part_or_empty("snakeval").number_or_none("latency_s"),
    )


def refusal_of(status: int, text: str) -> RequestError:
    """Return why a request has no answer: the gateway's kind of it, and what was seen."""
    try:
        error = Fields(json.loads(text)).part_or_empty("error")
    except (ValueError, TypeError):
        error = Fields({})
    kind = error.text_or_none("code") or f"HTTP {status}"
    message = error.text_or_none("message") or text
    return RequestError(kind, message.removeprefix(kind).removeprefix(": "), retryable=False)
