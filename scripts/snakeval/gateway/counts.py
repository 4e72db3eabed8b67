"""What a gateway counts: kinds of answers, tokens, latencies, what was really sent. Its memory does not grow."""

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from snakeval.gateway.adapters import JsonObject
from snakeval.gateway.kinds import Verdict
from snakeval.gateway.wire import Usage

# Buckets of latencies grow by 2 %: percentiles are right within 1 %.
_GROWTH = math.log(1.02)
_SMALLEST_S = 1e-4
_VALUES_KEPT = 20
_DETAILS_KEPT = 3
# Long, or different in every request: they tell nothing of how answers were sampled.
_NOT_SAMPLING = frozenset({"messages", "prompt", "input", "model", "stream", "stream_options", "tools"})


class Latencies:
    """A histogram of seconds with buckets that grow."""

    def __init__(self) -> None:
        self._buckets: Counter[int] = Counter()

    def add(self, seconds: float) -> None:
        """Count one."""
        self._buckets[round(math.log(max(seconds, _SMALLEST_S) / _SMALLEST_S) / _GROWTH)] += 1

    def percentile(self, share: float) -> float | None:
        """Return the latency that `share` (0 to 1) of all stay within, in seconds; None when there are none."""
        wanted, seen = share * self._buckets.total(), 0
        for bucket in sorted(self._buckets):
            seen += self._buckets[bucket]
            if seen >= wanted:
                return round(_SMALLEST_S * math.exp(bucket * _GROWTH), 4)
        return None


@dataclass
class Counts:
    """Counts of one life of the gateway.

    Attributes:
        sent, remembered: Requests that were sent, and requests that the journal answered.
        again: Tries beyond the first.
        missing: Requests that a replay does not find in the journal.
        unauthorised: Requests without the gateway's token.
        kinds: How many answers, and failures for good, were of each kind.
        details: The first details of each kind that is no plain answer.
        prompt_tokens, completion_tokens: Sums; None while the endpoint has counted nothing.
        values: The first few distinct values of each sampling parameter that was sent.
    """

    sent: int = 0
    remembered: int = 0
    again: int = 0
    missing: int = 0
    unauthorised: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    details: dict[str, list[str]] = field(default_factory=dict)
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    values: dict[str, list[object]] = field(default_factory=dict)
    latencies: Latencies = field(default_factory=Latencies)

    def add_verdict(self, verdict: Verdict) -> None:
        """Count one answer, or one failure for good."""
        self.kinds[verdict.kind] += 1
        kept = self.details.setdefault(verdict.kind, []) if verdict.detail else []
        if len(kept) < _DETAILS_KEPT and verdict.detail not in kept:
            kept.append(verdict.detail)

    def add(self, verdicts: Iterable[Verdict], usage: Usage) -> None:
        """Count one reply: what each of its choices is, and what it used."""
        for verdict in verdicts:
            self.add_verdict(verdict)
        if usage.prompt_tokens is not None:
            self.prompt_tokens = (self.prompt_tokens or 0) + usage.prompt_tokens
        if usage.completion_tokens is not None:
            self.completion_tokens = (self.completion_tokens or 0) + usage.completion_tokens

    def add_sent(self, body: JsonObject) -> None:
        """Note the values of the sampling parameters of a request."""
        for name in body.keys() - _NOT_SAMPLING:
            seen = self.values.setdefault(name, [])
            if len(seen) < _VALUES_KEPT and body[name] not in seen:
                seen.append(body[name])
