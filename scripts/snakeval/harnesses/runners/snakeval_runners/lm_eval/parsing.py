"""Reads answers and log-likelihoods; refuses those that would give wrong scores without a sign."""

import math
from typing import Any

from ..shared.failures import LogprobsError, RequestError


def parse_text(body: dict[str, Any]) -> str:
    """Take the generated text; an empty one is an answer, none at all is not.

    Raises:
        RequestError: There is no content, e.g. because a reasoning model ran out of tokens.
    """
    choice = body["choices"][0]
    message = choice.get("message") if isinstance(choice.get("message"), dict) else {}
    text = message.get("content") if "message" in choice else choice.get("text")
    thought = message.get("reasoning_content") or message.get("reasoning")
    finish = choice.get("finish_reason")
    if not isinstance(text, str) or (text == "" and finish == "length" and thought):
        detail = f"finish_reason {finish}" + (", all tokens went into reasoning" if thought else "")
        raise RequestError("no content", detail, retryable=False)
    return text


def parse_loglikelihood(body: dict[str, Any], prompt_length: int, context_length: int) -> tuple[float, bool]:
    """Sum the log-probabilities of the tokens after the context.

    The request asks for the prompt back (`echo`) and one generated token, so there must be one value per prompt token
    and one more. A server that leaves one out shifts every value by a token: such scores look real and are not.

    Args:
        body: The endpoint's answer.
        prompt_length: Tokens that were sent, context and continuation.
        context_length: Tokens of the context.

    Returns:
        Log-probability of the continuation, and whether each of its tokens was the most probable one.

    Raises:
        LogprobsError: The answer holds no such values.
    """
    logprobs = body["choices"][0].get("logprobs")
    values = logprobs.get("token_logprobs") if isinstance(logprobs, dict) else None
    if not isinstance(values, list):
        raise LogprobsError("the answer has no token_logprobs; the server does not echo the prompt")
    usage = body.get("usage")
    counted = usage.get("prompt_tokens") if isinstance(usage, dict) else None
    if isinstance(counted, int) and counted != prompt_length:
        raise LogprobsError(f"{prompt_length} prompt tokens were sent, the server counts {counted}")
    if len(values) != prompt_length + 1:
        raise LogprobsError(f"{len(values)} values for {prompt_length} prompt tokens and a generated one")
    asked = values[context_length:prompt_length]
    if not all(_is_number(value) for value in asked):
        raise LogprobsError("some values are not numbers")
    tops = logprobs.get("top_logprobs")
    if not isinstance(tops, list) or len(tops) != len(values):
        raise LogprobsError("top_logprobs do not fit token_logprobs")
    return sum(asked), all(_is_top(value, top) for value, top in zip(asked, tops[context_length:], strict=False))


def _is_top(value: float, top: Any) -> bool:
    if not isinstance(top, dict) or not top:
        raise LogprobsError("top_logprobs lack a token")
    return value >= max(float(number) for number in top.values() if _is_number(number))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
