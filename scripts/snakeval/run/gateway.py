"""What a running task and its gateway tell each other."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from snakeval.run.record import Pid, Record


@dataclass(frozen=True)
class Target(Record):
    """Where a server of ours answers right now: `target.json`, written by rule evaluate.

    Attributes:
        base_url: Up to and with /v1.
        key: That the server demands; None for none.
        generation: Which start of which server it is.
        waiting_for: Why it does not answer now, and will again; None while it answers.
    """

    MODE: ClassVar[int] = 0o600

    base_url: str
    key: str | None = field(repr=False)
    generation: str
    waiting_for: str | None = None


@dataclass(frozen=True)
class GatewayState(Record):
    """Where a gateway listens and what it has counted: `gateway.json`, written again every second.

    Attributes:
        address: Base URL for the harness.
        pid: Its process.
        under_way: Requests that the endpoint works on.
        allowed: How many may be under way right now.
        waiting_for: Why nothing moves; None while it does.
        hopeless: Whether so many requests in a row have failed for good that no more are sent.
        broken: Why the gateway cannot do its work any more; None while it can.
        sent, remembered, again: Requests that were sent, that the journal answered, and tries beyond the first.
        missing: Requests that a replay does not find in the journal.
        unanswered: Requests that have got no answer for good.
        unauthorised: Requests without the gateway's token.
        kinds: How many answers, and failures for good, were of each kind.
        details: The first details of each kind that is no plain answer.
        prompt_tokens, completion_tokens: Sums; None while the endpoint has counted nothing.
        latency_p50_s, latency_p90_s, latency_p99_s: Of the answers that were sent for; None without any.
        sampling: Of each sampling parameter that was sent, its distinct values, the first few.
    """

    address: str
    pid: Pid
    under_way: int
    allowed: int
    waiting_for: str | None
    hopeless: bool
    broken: str | None
    sent: int
    remembered: int
    again: int
    missing: int
    unanswered: int
    unauthorised: int
    kinds: Mapping[str, int]
    details: Mapping[str, tuple[str, ...]]
    prompt_tokens: int | None
    completion_tokens: int | None
    latency_p50_s: float | None
    latency_p90_s: float | None
    latency_p99_s: float | None
    sampling: Mapping[str, tuple[object, ...]]
