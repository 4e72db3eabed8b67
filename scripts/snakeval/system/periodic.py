"""Something that is done again and again beside everything else."""

import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self


class Periodic:
    """Does something every few seconds in a thread of its own, from `begin` to `end` or for the length of a block.

    Args:
        act: What to do. An error that it raises ends the thread, and nothing else.
        period_s: Seconds before the first time and between one time and the next.
    """

    def __init__(self, act: Callable[[], object], period_s: float) -> None:
        self._act = act
        self._period_s = period_s
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def begin(self) -> None:
        """Begin; returns at once."""
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def end(self) -> None:
        """End, when what is being done is done; safe to call twice, and without `begin`."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def __enter__(self) -> Self:
        self.begin()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()

    def _run(self) -> None:
        while not self._ended.wait(self._period_s):
            self._act()
