"""Reads answers and log-likelihoods; refuses those that would give wrong scores without a sign."""

import math

from ..shared.completion import Completion
from ..shared.failures import LogprobsError, RequestError
from ..shared.fields import is_number


def parse_text(completion: Completion) -> str:
    """Take the generated text; an empty one is an answer, none at all is not.

    Raises:
        RequestError: There is no content, e.g. because a reasoning model ran out of tokens.
    """
    choice = completion.choices[0]
    reason = choice.lacking()
    if reason is not None or choice.text is None:
        raise RequestError("no content", reason or "", retryable=False)
    return choice.text


def parse_loglikelihood(completion: Completion, prompt_length: int, context_length: int) -> tuple[float, bool]:
    """Sum the log-probabilities of the tokens after the context.

    The request asks for the prompt back (`echo`) and one generated token, so there must be one value per prompt token
    and one more. A server that leaves one out shifts every value by a token: such scores look real and are not.

    Args:
        completion: The endpoint's answer.
        prompt_length: Tokens that were sent, context and continuation.
        context_length: Tokens of the context.

    Returns:
        Log-probability of the continuation, and whether each of its tokens was the most probable one.

    Raises:
        LogprobsError: The answer holds no such values.
    """
    logprobs = completion.choices[0].logprobs
    values = logprobs.value_or_none("token_logprobs") if logprobs else None
    if logprobs is None or not isinstance(values, list):
        raise LogprobsError("the answer has no token_logprobs; the server does not echo the prompt")
    counted = completion.prompt_tokens
    if counted is not None and counted != prompt_length:
        raise LogprobsError(f"{prompt_length} prompt tokens were sent, the server counts {counted}")
    if len(values) != prompt_length + 1:
        raise LogprobsError(f"{len(values)} values for {prompt_length} prompt tokens and a generated one")
    asked = values[context_length:prompt_length]
    if not all(_is_finite(value) for value in asked):
        raise LogprobsError("some values are not numbers")
    tops = logprobs.value_or_none("top_logprobs")
    if not isinstance(tops, list) or len(tops) != len(values):
        raise LogprobsError("top_logprobs do not fit token_logprobs")
    return sum(asked), all(_is_top(value, top) for value, top in zip(asked, tops[context_length:], strict=False))


def _is_top(value: float, top: object) -> bool:
    if not isinstance(top, dict) or not top:
        raise LogprobsError("top_logprobs lack a token")
    return value >= max(float(number) for number in top.values() if _is_finite(number))


def _is_finite(value: object) -> bool:
    return is_number(value) and math.isfinite(value)
