"""The forms of requests and answers, as far as the gateway reads them; everything else passes through untouched.

Source: the OpenAI API reference for chat completions and completions, with what vLLM, SGLang, llama.cpp and public
services add (`reasoning_content`, `reasoning`, an `error` inside a choice, content in parts).
"""

from typing import Any

from msgspec import UNSET, Struct, UnsetType, field


class Part(Struct, frozen=True):
    """A piece of a content that comes in parts."""

    type: str = ""
    text: str | None = None


class Message(Struct, frozen=True):
    """What the model says in a chat; `reasoning_content` and `reasoning` are two names of one thing."""

    content: str | list[Part] | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    refusal: str | None = None
    tool_calls: list[Any] | None = None
    function_call: Any = None

    @property
    def text(self) -> str | None:
        """The text, of all text parts together; None where there is no content at all."""
        if isinstance(self.content, list):
            return "".join(part.text or "" for part in self.content if part.type in ("text", "output_text"))
        return self.content

    @property
    def thought(self) -> str:
        """The reasoning beside the text."""
        beside = self.reasoning_content or self.reasoning or ""
        inside = self.content if isinstance(self.content, list) else []
        return beside or ("thinking" if any(part.type in ("thinking", "reasoning") for part in inside) else "")


class Logprobs(Struct, frozen=True):
    """Log-probabilities of /completions: one value a token."""

    token_logprobs: list[float | None] | None = None
    top_logprobs: list[dict[str, float] | None] | None = None


class Choice(Struct, frozen=True):
    """One answer; null as `finish_reason` says that it has not ended, and without the key nothing is said."""

    index: int = 0
    finish_reason: str | UnsetType | None = UNSET
    message: Message | None = None
    text: str | None = None
    logprobs: Any = None
    error: Any = None


class Usage(Struct, frozen=True):
    """Tokens, as the endpoint counts them."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None


class Reply(Struct, frozen=True):
    """The body of an answer."""

    choices: list[Choice] | None = None
    model: str | None = None
    usage: Usage | None = None
    error: Any = None


class Asked(Struct, frozen=True):
    """The body of a request."""

    model: str | None = None
    n: int | None = None
    stream: bool | None = None
    echo: bool | None = None
    logprobs: int | bool | None = None
    prompt: str | list[int | str | list[int]] | None = None
    temperature: float | None = None
    max_tokens: int | None = None
    messages: list[Any] = field(default_factory=list)

    @property
    def choices(self) -> int:
        """How many answers were asked for."""
        return len(self._prompts()) * (self.n or 1)

    def prompt_length(self, index: int) -> int | None:
        """Return the tokens of the prompt that a choice answers, None where it was sent as text."""
        prompts = self._prompts()
        prompt = prompts[min(index // (self.n or 1), len(prompts) - 1)]
        return len(prompt) if isinstance(prompt, list) else None

    def _prompts(self) -> list[Any]:
        """Return the prompts of a request: a list of numbers is one prompt, any other list holds several."""
        if isinstance(self.prompt, list) and self.prompt and not isinstance(self.prompt[0], int):
            return list(self.prompt)
        return [self.prompt]
