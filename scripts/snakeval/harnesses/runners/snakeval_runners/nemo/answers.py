"""Tells an answer from what only looks like one."""

import json
from typing import Any


class NoAnswer(Exception):
    """The endpoint has not answered.

    Attributes:
        reason: In a few words, the same for all failures of the kind.
        detail: What the endpoint said.
        permanent: Whether the same request would fail again.
    """

    def __init__(self, reason: str, detail: str, permanent: bool) -> None:
        super().__init__(reason)
        self.reason = reason
        self.detail = detail
        self.permanent = permanent


def check_answer(request: Any, status: int, text: str) -> None:
    """Raise NoAnswer unless the body of a reply holds an answer in every choice, or embeddings.

    An empty text is an answer, none at all is not, nor is an empty one of a model that has run out of tokens while
    reasoning. A call of a tool needs no text. A server that leaves out log-probabilities of the prompt's tokens shifts
    all values behind; such scores look real and are not.
    """
    if status != 200:
        raise NoAnswer(f"HTTP {status}", text, 400 <= status < 500 and status not in (408, 409, 425, 429))
    try:
        body = json.loads(text)
    except ValueError:
        raise NoAnswer("answer is not JSON", text, False) from None
    if isinstance(body, dict) and isinstance(body.get("data"), list) and body["data"]:
        return
    choices = body.get("choices") if isinstance(body, dict) else None
    if not isinstance(choices, list) or not choices or not all(isinstance(choice, dict) for choice in choices):
        raise NoAnswer("answer has no choices", text, False)
    for choice in choices:
        _check_choice(choice)
    if isinstance(request, dict) and request.get("echo") and request.get("logprobs") is not None and len(choices) == 1:
        _check_logprobs(choices[0], body.get("usage"), request.get("prompt"))


def _check_logprobs(choice: dict[str, Any], usage: Any, asked: Any) -> None:
    logprobs = choice.get("logprobs")
    values = logprobs.get("token_logprobs") if isinstance(logprobs, dict) else None
    if not isinstance(values, list):
        raise NoAnswer("no logprobs", "the answer has no token_logprobs; the server does not echo the prompt", True)
    prompt, generated = (usage.get(f"{name}_tokens") for name in ("prompt", "completion")) if usage else (None, None)
    if isinstance(prompt, int) and isinstance(generated, int) and len(values) != prompt + generated:
        raise NoAnswer("wrong logprobs", f"{len(values)} values for {prompt} + {generated} tokens", True)
    asked = asked[0] if isinstance(asked, list) and len(asked) == 1 and isinstance(asked[0], list) else asked
    if isinstance(prompt, int) and isinstance(asked, list) and len(asked) != prompt:
        raise NoAnswer("wrong logprobs", f"{len(asked)} prompt tokens were sent, the server counts {prompt}", True)


def _check_choice(choice: dict[str, Any]) -> None:
    message = choice.get("message")
    message = message if isinstance(message, dict) else {}
    if message.get("tool_calls"):
        return
    text = message.get("content") if "message" in choice else choice.get("text")
    thought = message.get("reasoning_content") or message.get("reasoning")
    finish = choice.get("finish_reason")
    if not isinstance(text, str) or (text == "" and finish == "length" and thought):
        detail = f"finish_reason {finish}" + (", all tokens went into reasoning" if thought else "")
        raise NoAnswer("no content", detail, True)
