"""What a task talks to: an OpenAI-compatible endpoint, and the kinds of request that it may be asked for."""

from dataclasses import dataclass, field
from enum import StrEnum


class Protocol(StrEnum):
    """The kind of request that a task sends."""

    CHAT = "chat"
    COMPLETIONS = "completions"
    LOGLIKELIHOOD = "loglikelihood"
    EMBEDDINGS = "embeddings"


@dataclass(frozen=True)
class Endpoint:
    """A reachable OpenAI-compatible server.

    Attributes:
        base_url: Up to and with /v1.
        model: The name that the endpoint answers to.
        api_key: Secret; None when the endpoint asks for none.
    """

    base_url: str
    model: str
    api_key: str | None = field(repr=False)
