"""How the answers to a task are drawn and its requests sent, in words that harnesses share."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Sampling:
    """How answers are drawn; None where the task's own definition says, or the harness has no word for it."""

    temperature: float | None
    top_p: float | None
    max_new_tokens: int | None
    stop: list[str] | None
    seed: int | None
    system_prompt: str | None


@dataclass(frozen=True)
class Traffic:
    """How requests are sent; None for the harness's own way."""

    parallelism: int | None
    request_timeout_s: float | None
    max_retries: int | None
    patience_s: float | None
