"""What the gateway saw on the wire while a task was measured, as `result.json` keeps it."""

from collections.abc import Mapping
from dataclasses import dataclass

from snakeval.gateway.kinds import DEFAULTS, Kind, Treatment
from snakeval.run.gateway import GatewayState


@dataclass(frozen=True)
class Latency:
    """Percentiles of the time from a request to its whole answer, in seconds; None where nothing was sent."""

    p50: float | None
    p90: float | None
    p99: float | None


@dataclass(frozen=True)
class Answers:
    """Answers of one task.

    Attributes:
        kinds: How many there are of each kind; `docs/answers.md` lists the kinds.
        latency_s: Of the answers that this attempt was given by the endpoint.
        sampling: Of each parameter that was sent, its distinct values, the first few.
        journal: SHA-256 of the journal that holds every request and answer.
    """

    kinds: Mapping[str, int]
    latency_s: Latency
    sampling: Mapping[str, tuple[object, ...]]
    journal: str

    @property
    def note(self) -> str | None:
        """Say how many answers are scored although something is to be said of them; None when there are none."""
        counted = [kind for kind in Kind if DEFAULTS[kind] is not Treatment.SCORED and self.kinds.get(kind)]
        return ", ".join(f"{self.kinds[kind]} {kind}" for kind in counted) or None


def answers_of(told: GatewayState, journal: str) -> Answers:
    """Return what a gateway has counted, with the digest of its journal."""
    latency = Latency(told.latency_p50_s, told.latency_p90_s, told.latency_p99_s)
    return Answers(dict(told.kinds), latency, dict(told.sampling), journal)
