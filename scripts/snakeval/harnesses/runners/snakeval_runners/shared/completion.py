"""What an OpenAI-compatible endpoint answers, as far as the runners look into it."""

from dataclasses import dataclass

from .fields import Fields


@dataclass(frozen=True)
class Choice:
    """One of the texts of an answer.

    Attributes:
        text: None when there is none; an empty one is a text.
        tool_calls: What the model wants to be called, None for nothing.
        finish_reason: Why the text ends.
    """

    text: str | None
    tool_calls: object
    finish_reason: str | None


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
        finish_reason=choice.text_or_none("finish_reason"),
    )
