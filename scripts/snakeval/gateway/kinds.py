"""What can come back for a request, and what happens with each kind; `docs/answers.md` shows the same table."""

from dataclasses import dataclass
from enum import StrEnum

# HTTP statuses by which an endpoint asks for patience.
BUSY_STATUS = frozenset({425, 429, 503, 529})


class Kind(StrEnum):
    """What came back for one request, or for one of its choices.

    The order is the order of judging: the first kind that fits counts.
    """

    TIMEOUT = "timeout"
    UNREACHABLE = "unreachable"
    BUSY = "busy"
    WRONG_MODEL = "wrong model"
    REJECTED = "rejected"
    SERVER_ERROR = "server error"
    NO_ANSWER = "not an answer"
    ERROR = "error"
    ABORTED = "aborted"
    FILTERED = "filtered"
    UNFINISHED = "unfinished"
    LOGPROBS = "log-probabilities do not fit"
    THOUGHT_ONLY = "thought only"
    REFUSED = "refused"
    CUT_OFF = "cut off"
    EMPTY = "empty"
    ANSWERED = "answered"


class Treatment(StrEnum):
    """What happens with a kind."""

    SCORED = "scored"
    COUNTED = "counted and scored"
    AGAIN = "tried again"
    FAILURE = "a failure"


DEFAULTS = {
    Kind.TIMEOUT: Treatment.AGAIN,
    Kind.UNREACHABLE: Treatment.AGAIN,
    Kind.BUSY: Treatment.AGAIN,
    Kind.WRONG_MODEL: Treatment.FAILURE,
    Kind.REJECTED: Treatment.FAILURE,
    Kind.SERVER_ERROR: Treatment.AGAIN,
    Kind.NO_ANSWER: Treatment.AGAIN,
    Kind.ERROR: Treatment.AGAIN,
    Kind.ABORTED: Treatment.AGAIN,
    Kind.FILTERED: Treatment.FAILURE,
    Kind.UNFINISHED: Treatment.AGAIN,
    Kind.LOGPROBS: Treatment.FAILURE,
    Kind.THOUGHT_ONLY: Treatment.FAILURE,
    Kind.REFUSED: Treatment.COUNTED,
    Kind.CUT_OFF: Treatment.COUNTED,
    Kind.EMPTY: Treatment.COUNTED,
    Kind.ANSWERED: Treatment.SCORED,
}
# Whatever the configuration says, these never become a score: nobody answered, or not the one who was asked.
NEVER_SCORED = frozenset([*list(Kind)[: list(Kind).index(Kind.FILTERED)], Kind.LOGPROBS])


@dataclass(frozen=True)
class Verdict:
    """What one choice is, or a whole reply that has none.

    Attributes:
        kind: The first kind that fits.
        detail: What was seen, for people; empty where the kind says it all.
    """

    kind: Kind
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.kind}: {self.detail}" if self.detail else str(self.kind)


@dataclass(frozen=True)
class Rules:
    """Which treatment each kind gets.

    Attributes:
        changed: What the configuration says beside the defaults.

    Raises:
        ValueError: A kind that is never scored is to be scored.
    """

    changed: dict[Kind, Treatment]

    def __post_init__(self) -> None:
        for kind, treatment in self.changed.items():
            if kind in NEVER_SCORED and treatment in (Treatment.SCORED, Treatment.COUNTED):
                raise ValueError(f"{kind} is no answer of the model, and is never scored")

    def treatment(self, kind: Kind) -> Treatment:
        """Return what happens with a kind."""
        return self.changed.get(kind, DEFAULTS[kind])

    def is_scored(self, kind: Kind) -> bool:
        """Return whether a harness gets to see such an answer."""
        return self.treatment(kind) in (Treatment.SCORED, Treatment.COUNTED)


def worst(verdicts: list[Verdict]) -> Verdict:
    """Return the verdict that decides about a reply with several choices: the first in the order of judging."""
    order = list(Kind)
    return min(verdicts, key=lambda verdict: order.index(verdict.kind))
