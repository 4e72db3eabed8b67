"""A run's status on a terminal, kept up to date while Snakemake works."""

import contextlib
import os
import threading
import time
from typing import Self, TextIO

from rich.console import Console
from rich.live import Live
from rich.text import Text

from snakeval.backends import backend_of
from snakeval.commands.status.run_status import run_status
from snakeval.commands.status.table import status_view
from snakeval.config.model import Config
from snakeval.errors import SnakevalError
from snakeval.workflow.job import SILENT_VARIABLE

EVERY_S = 2.0
# Looking takes at most this part of the time: a batch system that answers slowly is asked less often.
SHARE = 0.05


def can_show(stream: TextIO) -> bool:
    """Return whether the stream is a terminal on which lines can be written over."""
    return stream.isatty() and os.environ.get("TERM") not in (None, "", "dumb")


class LiveView:
    """The table of a run, looked up and drawn by a thread of its own."""

    def __init__(self, config: Config, stream: TextIO) -> None:
        self._config = config
        self._backend = backend_of(config)
        self._live = Live(console=Console(file=stream, highlight=False), auto_refresh=False, transient=True)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._keep_up, daemon=True)

    @classmethod
    def started(cls, config: Config, stream: TextIO) -> Self:
        """Show the run from now on; its jobs leave the terminal to the table, and write to their logs alone."""
        view = cls(config, stream)
        os.environ[SILENT_VARIABLE] = "1"
        view._live.start()
        view._thread.start()
        return view

    def print(self, text: str) -> None:
        """Print lines that stay, above the table."""
        self._live.console.print(Text(text), soft_wrap=True)

    def stop(self) -> None:
        """Take the table away."""
        self._ended.set()
        self._thread.join()
        self._live.stop()
        os.environ.pop(SILENT_VARIABLE, None)

    def _keep_up(self) -> None:
        pause_s = 0.0
        while not self._ended.wait(pause_s):
            begin = time.monotonic()
            # What cannot be read right now can be the next time.
            with contextlib.suppress(SnakevalError, OSError):
                self._draw()
            pause_s = max(EVERY_S, (time.monotonic() - begin) / SHARE)

    def _draw(self) -> None:
        console = self._live.console
        status = run_status(self._config, backend=self._backend)
        self._live.update(status_view(status, console.width, console.height), refresh=True)
