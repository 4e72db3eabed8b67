"""How many requests are under way at a time, and how long an endpoint that asks for patience is waited for."""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from tenacity import RetryCallState, wait_exponential_jitter

FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 30.0
# Without a word how long, a limit per minute is over after this at the latest.
BUSY_PAUSE_S = 5.0
LONGEST_BUSY_PAUSE_S = 65.0
_FAILED = wait_exponential_jitter(multiplier=FIRST_PAUSE_S, max=LONGEST_PAUSE_S, jitter=FIRST_PAUSE_S)
_BUSY = wait_exponential_jitter(multiplier=BUSY_PAUSE_S, max=LONGEST_BUSY_PAUSE_S, jitter=1.0)


def retry_after_s(value: str | None, now: float | None = None) -> float | None:
    """Return the seconds that a `Retry-After` asks for, in either of its forms; None for none or a wrong one."""
    if not value:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            moment = parsedate_to_datetime(value)
        except (TypeError, ValueError):
            return None
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        seconds = (moment - datetime.fromtimestamp(now or time.time(), UTC)).total_seconds()
    return max(0.0, seconds) if seconds == seconds and seconds < 86_400 else None


def pause_after_failure_s(tries: int) -> float:
    """Return how long to wait before a request that has failed `tries` times is sent again."""
    return _pause(_FAILED, tries)


def pause_of_busy_s(retry_after: str | None, tries: int) -> float:
    """Return how long to wait for an endpoint that is busy.

    Args:
        retry_after: Its header of that name.
        tries: How often it has been busy; counts where it does not say how long.
    """
    asked_s = retry_after_s(retry_after)
    return _pause(_BUSY, tries) if asked_s is None else asked_s


def _pause(wait: wait_exponential_jitter, tries: int) -> float:
    state = RetryCallState(retry_object=None, fn=None, args=(), kwargs={})  # type: ignore[arg-type]
    state.attempt_number = max(1, tries)
    return float(wait(state))


class Gate:
    """Lets so many requests through at a time; fewer after the endpoint was busy, more again after successes.

    Additive increase and multiplicative decrease, as in TCP; while the endpoint has asked for a pause, none.

    Args:
        limit: Gives the largest number at a time; asked again and again, because other tasks end meanwhile.
        clock: Seconds, monotonic.
    """

    def __init__(self, limit: Callable[[], int], clock: Callable[[], float] = time.monotonic) -> None:
        self._limit = limit
        self._clock = clock
        self._allowed = float(limit())
        self._under_way = 0
        self._until = 0.0
        self._lowered = -1e9
        self._held = False
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    @property
    def allowed(self) -> int:
        """How many may be under way now."""
        return max(1, min(int(self._allowed), self._limit()))

    @property
    def under_way(self) -> int:
        """How many are under way."""
        return self._under_way

    @property
    def paused_s(self) -> float:
        """Seconds until the endpoint wants to be asked again."""
        return max(0.0, self._until - self._clock())

    async def enter(self) -> None:
        """Wait until one more may be under way."""
        if self._is_free() and not self._waiting:
            self._under_way += 1
            return
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        self._wake()
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.leave()
            else:
                self._waiting.remove(turn)
            raise

    def leave(self) -> None:
        """One is no longer under way."""
        self._under_way -= 1
        self._wake()

    def succeeded(self) -> None:
        """After a success, allow a little more."""
        if self._allowed < self._limit():
            self._allowed += 1.0 / max(self._allowed, 1.0)
        else:
            self._allowed = float(self._limit())

    def busy(self, pause_s: float) -> None:
        """The endpoint is busy: half as many, once for all that were under way together, and a pause."""
        now = self._clock()
        if now >= self._lowered:
            self._allowed = max(1.0, min(self._allowed, float(self._limit())) / 2)
        self._lowered = max(self._lowered, now + pause_s)
        self._until = max(self._until, now + pause_s)

    def hold(self, held: bool) -> None:
        """Let nobody through until further notice, or let them through again."""
        self._held = held
        self._wake()

    def _is_free(self) -> bool:
        return not self._held and self._under_way < self.allowed and self._clock() >= self._until

    def _wake(self) -> None:
        while self._waiting and self._is_free():
            turn = self._waiting.popleft()
            if not turn.done():
                self._under_way += 1
                turn.set_result(None)
        if self._waiting and self._timer is None and (pause_s := self.paused_s) > 0:
            self._timer = asyncio.get_running_loop().call_later(pause_s, self._pause_is_over)

    def _pause_is_over(self) -> None:
        self._timer = None
        self._wake()
