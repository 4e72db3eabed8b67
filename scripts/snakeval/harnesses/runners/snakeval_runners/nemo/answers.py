"""Tells an answer from what only looks like one."""

import json

from ..shared.completion import Completion, read_completion
from ..shared.fields import Fields


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


def check_answer(request: object, status: int, text: str) -> None:
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
    completion = read_completion(Fields(body))
    for choice in completion.choices:
        reason = choice.lacking()
        if reason and not choice.tool_calls:
            raise NoAnswer("no content", reason, True)
    if isinstance(request, dict) and request.get("echo") and request.get("logprobs") is not None and len(choices) == 1:
        _check_logprobs(completion, request.get("prompt"))


def _check_logprobs(completion: Completion, asked: object) -> None:
    logprobs = completion.choices[0].logprobs
    values = logprobs.value_or_none("token_logprobs") if logprobs else None
    if not isinstance(values, list):
        raise NoAnswer("no logprobs", "the answer has no token_logprobs; the server does not echo the prompt", True)
    prompt, generated = completion.prompt_tokens, completion.completion_tokens
    if prompt is not None and generated is not None and len(values) != prompt + generated:
        raise NoAnswer("wrong logprobs", f"{len(values)} values for {prompt} + {generated} tokens", True)
    asked = asked[0] if isinstance(asked, list) and len(asked) == 1 and isinstance(asked[0], list) else asked
    if prompt is not None and isinstance(asked, list) and len(asked) != prompt:
        raise NoAnswer("wrong logprobs", f"{len(asked)} prompt tokens were sent, the server counts {prompt}", True)
