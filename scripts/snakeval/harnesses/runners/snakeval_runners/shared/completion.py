"""What an OpenAI-compatible endpoint answers, as far as the runners look into it."""

from dataclasses import dataclass

from .fields import Fields


@dataclass(frozen=True)
class Choice:
    """One of the texts of an answer.

    Attributes:
        text: None when there is none; an empty one is a text.
        tool_calls: What the model wants to be called, None for nothing.
        is_refusal: Whether the model refuses in so many words.
        has_thought: Whether there is reasoning beside the text.
        finish_reason: Why the text ends.
        logprobs: None without them.
    """

    text: str | None
    tool_calls: object
    is_refusal: bool
    has_thought: bool
    finish_reason: str | None
    logprobs: Fields | None

    def lacking(self) -> str | None:
        """Return why this is no answer, e.g. that all tokens went into reasoning; None when it is one.

        An empty text is an answer, none at all is not, nor is an empty one of a model that has run out of tokens while
        reasoning.
        """
        if self.text or (self.text == "" and not (self.finish_reason == "length" and self.has_thought)):
            return None
        return f"finish_reason {self.finish_reason}" + (", all tokens went into reasoning" if self.has_thought else "")


@dataclass(frozen=True)
class Completion:
    """An answer, of a chat or of a completion.

    Attributes:
        choices: Empty when there are none, and for embeddings.
        prompt_tokens, completion_tokens: None when the endpoint does not count.
    """

    choices: tuple[Choice, ...]
    prompt_tokens: int | None
    completion_tokens: int | None


def read_completion(body: Fields) -> Completion:
    """Return an answer; what is no choice in its list is left out."""
    usage = body.part_or_empty("usage")
    return Completion(
        choices=tuple(_choice(Fields(one)) for one in body.list_or_empty("choices") if isinstance(one, dict)),
        prompt_tokens=usage.count_or_none("prompt_tokens"),
        completion_tokens=usage.count_or_none("completion_tokens"),
    )


def _choice(choice: Fields) -> Choice:
    message = choice.part_or_empty("message")
    said = message if "message" in choice else choice
    text = said.text_or_none("content" if "message" in choice else "text")
    return Choice(
        text=text,
        tool_calls=message.value_or_none("tool_calls") or None,
        is_refusal=bool(message.value_or_none("refusal")),
        has_thought=bool(message.value_or_none("reasoning_content") or message.value_or_none("reasoning")),
        finish_reason=choice.text_or_none("finish_reason"),
        logprobs=choice.part("logprobs") if isinstance(choice.value_or_none("logprobs"), dict) else None,
    )
