"""What can go wrong while a task runs, in the words that users read."""

import math
from collections import Counter

from .outcome import FailureKind, FailureRecord, SampleCounts


class RunnerError(Exception):
    """Ends the runner without an outcome; written to error.json.

    Attributes:
        record: What to write.
    """

    def __init__(self, kind: FailureKind, message: str, counts: SampleCounts | None = None) -> None:
        self.record = FailureRecord(kind, message, counts)
        super().__init__(message)


class RequestError(Exception):
    """One attempt of one request got no usable answer.

    Attributes:
        reason: Short and countable, e.g. "HTTP 500".
        detail: What the endpoint said.
        retryable: Whether another attempt may succeed.
        retry_after_s: Seconds that the endpoint asked to wait, or None.
    """

    def __init__(self, reason: str, detail: str, *, retryable: bool, retry_after_s: float | None = None) -> None:
        self.reason = reason
        self.detail = detail
        self.retryable = retryable
        self.retry_after_s = retry_after_s
        super().__init__(f"{reason}: {detail}")


class Failures:
    """Counts the requests that failed for good."""

    def __init__(self, limit_in_a_row: float = math.inf) -> None:
        self.limit_in_a_row = limit_in_a_row
        self.in_a_row = 0
        self.hopeless = False
        self.reasons: Counter[str] = Counter()
        self.example = ""

    def add(self, error: RequestError) -> None:
        """Note a request that failed for good."""
        self.reasons[error.reason] += 1
        self.example = self.example or error.detail
        self.in_a_row += 1
        self.hopeless = self.hopeless or self.in_a_row >= self.limit_in_a_row

    def success(self) -> None:
        """Note an answer from the endpoint (not from the cache)."""
        self.in_a_row = 0

    def describe(self, asked: int, failed: int) -> str:
        """Say how many samples have no answer and why.

        Args:
            asked: Samples of the task.
            failed: Those of them without a complete answer.
        """
        reasons = ", ".join(f"{reason} ({count}x)" for reason, count in self.reasons.most_common())
        example = f", e.g. '{' '.join(self.example.split())[:200]}'" if self.example.strip() else ""
        given_up = f"; gave up after {self.limit_in_a_row} failed requests in a row" if self.hopeless else ""
        return f"{failed} of {asked} samples got no answer: {reasons}{example}{given_up}"
