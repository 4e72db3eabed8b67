"""Tells what came back for a request: the one place where an answer is told from what only looks like one."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Self

import msgspec

from snakeval.gateway.kinds import BUSY_STATUS, Kind, Verdict, worst
from snakeval.gateway.wire import Asked, Choice, Logprobs, Message, Reply, Usage

DETAIL_LENGTH = 300
AGAIN_STATUS = frozenset({408, 409})
ABORTED = frozenset({"abort", "aborted", "cancelled", "canceled", "interrupted"})
FILTERED = frozenset({"content_filter", "content-filter", "safety", "recitation", "blocklist", "prohibited_content"})
CUT_OFF = frozenset({"length", "max_tokens", "model_length", "max_output_tokens"})
ERROR = frozenset({"error", "internal_error", "malformed_function_call"})
_REPLY = msgspec.json.Decoder(Reply)
_LOGPROBS = msgspec.json.Decoder(Logprobs)


@dataclass(frozen=True)
class Judgement:
    """What a reply is.

    Attributes:
        verdicts: One per choice, by index; one for the whole where there are no choices.
        finish_reasons: One per choice, as the endpoint gave them.
        usage: Tokens as the endpoint counts them.
    """

    verdicts: list[Verdict]
    finish_reasons: list[str | None]
    usage: Usage

    @classmethod
    def of(cls, verdict: Verdict, usage: Usage | None = None) -> Self:
        """Return the judgement of a reply that is judged as a whole."""
        return cls([verdict], [None], usage or Usage())

    @property
    def verdict(self) -> Verdict:
        """The one that decides."""
        return worst(self.verdicts)


def judge_status(status: int, body: bytes) -> Verdict | None:
    """Return what a reply is by its status alone, None where the body has to be read (status 2xx)."""
    if 200 <= status < 300:
        return None
    detail = f"HTTP {status}: {_shown(body)}"
    if status in BUSY_STATUS:
        return Verdict(Kind.BUSY, detail)
    if _is_wrong_model(status, body):
        return Verdict(Kind.WRONG_MODEL, detail)
    if status >= 500 or status in AGAIN_STATUS:
        return Verdict(Kind.SERVER_ERROR, detail)
    return Verdict(Kind.REJECTED, detail)


def judge(asked: Asked, body: bytes) -> Judgement:
    """Judge the body of a reply with status 200 to a request for a chat or a completion."""
    try:
        reply = _REPLY.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        what = str(error) if isinstance(error, msgspec.ValidationError) else "it is not JSON"
        return Judgement.of(Verdict(Kind.NO_ANSWER, f"{what}: {_shown(body)}"))
    if reply.error:
        return Judgement.of(Verdict(Kind.ERROR, _shown(msgspec.json.encode(reply.error))), reply.usage)
    if not reply.choices:
        return Judgement.of(Verdict(Kind.NO_ANSWER, f"it has no choices: {_shown(body)}"), reply.usage)
    choices = sorted(reply.choices, key=lambda choice: choice.index)
    if len(choices) < asked.choices:
        what = f"{asked.choices} choices were asked for, {len(choices)} came back"
        return Judgement.of(Verdict(Kind.NO_ANSWER, what), reply.usage)
    usage = reply.usage or Usage()
    verdicts = [_judge_choice(asked, choice, usage if len(choices) == 1 else Usage()) for choice in choices]
    return Judgement(verdicts, [choice.finish_reason or None for choice in choices], usage)


def judge_plain(body: bytes) -> Judgement:
    """Judge the body of a reply with status 200 to any other request: JSON without an error in it."""
    try:
        content = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return Judgement.of(Verdict(Kind.NO_ANSWER, f"it is not JSON: {_shown(body)}"))
    fields = content if isinstance(content, dict) else {}
    if fields.get("error"):
        return Judgement.of(Verdict(Kind.ERROR, _shown(msgspec.json.encode(fields["error"]))))
    try:
        usage = msgspec.convert(fields.get("usage") or {}, Usage)
    except msgspec.ValidationError:
        usage = Usage()
    return Judgement.of(Verdict(Kind.ANSWERED), usage)


def _judge_choice(asked: Asked, choice: Choice, usage: Usage) -> Verdict:
    """Return the first kind that fits, in the order of `Kind`."""
    message = choice.message or Message()
    text = message.text if choice.message else choice.text
    finish = (choice.finish_reason or "").lower()
    called = bool(message.tool_calls or message.function_call)
    spoken = bool(text and text.strip())
    if text is None and not called and not message.thought and not message.refusal:
        # An aborted or filtered answer often has no content: the endpoint's own word for it tells more.
        return _by_finish(finish) or Verdict(Kind.NO_ANSWER, f"no content, finish_reason {finish or None}")
    if choice.error:
        return Verdict(Kind.ERROR, _shown(msgspec.json.encode(choice.error)))
    if (ended := _by_finish(finish)) is not None:
        return ended
    if choice.finish_reason is None and not asked.echo:
        return Verdict(Kind.UNFINISHED, "finish_reason is null")
    if asked.echo and asked.logprobs and (why := _logprobs_misfit(asked, choice, usage)) is not None:
        return Verdict(Kind.LOGPROBS, why)
    if called:
        return Verdict(Kind.CUT_OFF, "in a tool call") if finish in CUT_OFF else Verdict(Kind.ANSWERED)
    if message.thought and not spoken:
        ended_by = "the token limit" if finish in CUT_OFF else "a stop text, or by itself"
        return Verdict(Kind.THOUGHT_ONLY, f"reasoning was ended by {ended_by}, before any text")
    if message.refusal:
        return Verdict(Kind.REFUSED, message.refusal[:DETAIL_LENGTH])
    # A log-likelihood is asked for with one token, which is always cut off.
    if finish in CUT_OFF and not asked.echo:
        return Verdict(Kind.CUT_OFF)
    return Verdict(Kind.ANSWERED if spoken or asked.echo else Kind.EMPTY)


def _by_finish(finish: str) -> Verdict | None:
    """Return what the endpoint's own word for the end says, where that alone decides."""
    for kind, words in ((Kind.ERROR, ERROR), (Kind.ABORTED, ABORTED), (Kind.FILTERED, FILTERED)):
        if finish in words:
            return Verdict(kind, f"finish_reason {finish}")
    return None


def _logprobs_misfit(asked: Asked, choice: Choice, usage: Usage) -> str | None:
    """Return why the values of prompt and generated tokens cannot be trusted, None when they can.

    There must be one value per token of the prompt and one for each generated one. A server that leaves one out shifts
    every value by a token: such scores look real and are not.
    """
    try:
        logprobs = _LOGPROBS.decode(msgspec.json.encode(choice.logprobs)) if choice.logprobs else Logprobs()
    except msgspec.ValidationError as error:
        return str(error)
    values = logprobs.token_logprobs
    if values is None:
        return "the answer has no token_logprobs; the server does not echo the prompt"
    length = asked.prompt_length(choice.index)
    if length is not None and usage.prompt_tokens not in (None, length):
        return f"{length} prompt tokens were sent, the server counts {usage.prompt_tokens}"
    prompt = length if length is not None else usage.prompt_tokens
    if prompt is not None and not _fits(len(values), prompt, asked, usage):
        return f"{len(values)} values for {prompt} prompt tokens and {asked.max_tokens or 'some'} generated ones"
    # The first token has no context, and so no value in most engines.
    if not all(_is_number(value) for value in values[1:prompt]):
        return "some values are not numbers"
    tops = logprobs.top_logprobs
    if tops is None or len(tops) != len(values):
        return "top_logprobs do not fit token_logprobs"
    if not all(tops[1:prompt]):
        return "top_logprobs lack a token"
    return None


def _fits(values: int, prompt: int, asked: Asked, usage: Usage) -> bool:
    generated = usage.completion_tokens if usage.completion_tokens is not None else asked.max_tokens
    if generated == 0 and asked.max_tokens:
        # Harnesses take the last values for those of generated tokens.
        return False
    return values == prompt + generated if generated is not None else values >= prompt


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_wrong_model(status: int, body: bytes) -> bool:
    """Whether an endpoint says that it does not serve the model that was asked for."""
    if status not in (400, 404):
        return False
    said = " ".join(_texts(body)).lower()
    absent = ("model_not_found", "does not exist", "not found", "no such model", "unknown model", "invalid model")
    return "model" in said and any(words in said for words in absent)


def _texts(body: bytes) -> Iterator[str]:
    """Yield every text in a JSON body; the body itself where it is none."""
    try:
        waiting = [msgspec.json.decode(body)]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        yield ""
        return
    while waiting:
        one = waiting.pop()
        if isinstance(one, str):
            yield one
        elif isinstance(one, dict):
            waiting.extend(one.values())
        elif isinstance(one, list):
            waiting.extend(one)


def _shown(body: bytes) -> str:
    text = body[: 4 * DETAIL_LENGTH].decode("utf-8", errors="replace")
    return " ".join(text.split())[:DETAIL_LENGTH] or "nothing"
