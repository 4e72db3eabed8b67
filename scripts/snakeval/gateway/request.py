"""What the door hands around: a request of the harness, what came back for it, and what the harness gets."""

from collections.abc import Sequence
from dataclasses import dataclass

from snakeval.gateway.judge import Judgement
from snakeval.gateway.kinds import Verdict
from snakeval.gateway.upstream import Received
from snakeval.gateway.wire import Usage

JUDGED = ("/chat/completions", "/completions")


class NoAnswerError(Exception):
    """A request has no answer for good.

    Attributes:
        verdict: What came back instead.
        status: HTTP status for the harness: the endpoint's own where the request cannot succeed, else 502.
    """

    def __init__(self, verdict: Verdict, status: int = 502) -> None:
        super().__init__(str(verdict))
        self.verdict = verdict
        self.status = status


@dataclass(frozen=True)
class Request:
    """One request of the harness, with the place that it has among equal ones.

    Attributes:
        path: Below the base of the API, query included.
        body: As the harness sent it.
        headers: Of the harness, less those that belong to its connection to us.
        key: Its identity.
        occurrence: How many equal ones came before it.
    """

    path: str
    body: bytes
    headers: dict[str, str]
    key: str
    occurrence: int

    @property
    def is_judged(self) -> bool:
        """Whether the gateway understands what is asked, and what comes back."""
        return self.path.partition("?")[0] in JUDGED


@dataclass(frozen=True)
class Given:
    """What the harness gets.

    Attributes:
        body: JSON; where the gateway understands it, `snakeval` in it tells the request's key in the journal, the
            latency of the answer, and whether it was remembered.
        remembered: Whether the journal answered.
        verdicts: One per choice.
        usage: Tokens, as the endpoint counts them.
    """

    body: bytes
    remembered: bool
    verdicts: Sequence[Verdict]
    usage: Usage


@dataclass(frozen=True)
class Reply:
    """An answer that counts, after how many tries it came, and from which start of the server."""

    received: Received
    judgement: Judgement
    tries: int
    generation: str | None
