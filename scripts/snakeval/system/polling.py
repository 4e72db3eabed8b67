"""Waiting for something that has to be looked at again and again."""

import time
from collections.abc import Iterator

from snakeval.system.say import Say

# A wait says at the latest after so many seconds what it waits for.
REPORT_S = 30.0


def rounds(pause_s: float, patience_s: float = float("inf")) -> Iterator[float]:
    """Yield the seconds waited so far: at once, then after every pause, until the patience is over.

    Args:
        pause_s: Seconds between two looks.
        patience_s: Seconds after which no further look is worth it; there is always one.
    """
    begin = time.monotonic()
    while True:
        yield time.monotonic() - begin
        if time.monotonic() - begin > patience_s:
            return
        time.sleep(pause_s)


class Reminder:
    """Says what is waited for, every `REPORT_S` seconds whatever the number of calls."""

    def __init__(self, say: Say) -> None:
        self._say = say
        self._said = time.monotonic()

    def remind(self, line: str) -> None:
        """Say the line when it is time to say something again."""
        now = time.monotonic()
        if now - self._said >= REPORT_S:
            self._said = now
            self._say(line)
