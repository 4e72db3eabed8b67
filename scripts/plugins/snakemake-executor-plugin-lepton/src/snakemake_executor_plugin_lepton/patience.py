"""How long calls that fail are repeated, and how often: back-off, and a deadline for what the user has to mend."""

import time
from dataclasses import dataclass, field

from .model import Failure, LeptonError

FIRST_DELAY_S = 1.0
LONGEST_DELAY_S = 60.0
TRANSIENT = (Failure.UNAVAILABLE, Failure.UNAUTHORIZED)


@dataclass
class Patience:
    """The failures of one kind of call, in a row.

    Attributes:
        limits_s: For each failure, how long it is borne; without an entry for ever.
        since: When the present failure began.
        failure: The present failure, None while calls work.
    """

    limits_s: dict[Failure, float]
    since: float = 0.0
    failure: Failure | None = None
    _delay_s: float = field(default=FIRST_DELAY_S, repr=False)

    def failed(self, error: LeptonError) -> float:
        """Note a failure and return the seconds until the next try; raises `error` when there is to be none."""
        now = time.monotonic()
        if error.failure not in TRANSIENT:
            raise error
        if error.failure is not self.failure:
            self.failure, self.since, self._delay_s = error.failure, now, FIRST_DELAY_S
        if now - self.since >= self.limits_s.get(error.failure, float("inf")):
            raise error
        delay_s, self._delay_s = self._delay_s, min(2 * self._delay_s, LONGEST_DELAY_S)
        return delay_s

    def worked(self) -> bool:
        """Note that a call worked; return whether there had been failures before."""
        before, self.failure = self.failure, None
        return before is not None
