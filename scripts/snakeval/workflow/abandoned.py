"""Leases that nobody will work with any more: those of tasks whose last attempt has failed."""

import logging
from collections import Counter
from pathlib import Path

from snakemake_interface_logger_plugins.common import LogEvent

from snakeval.system.periodic import Periodic

RULE = "evaluate"
AGAIN_S = 1.0
LOGGER = logging.getLogger("snakemake.logging")


class AbandonedLeases(logging.Handler):
    """Takes away a task's leases when its last attempt has failed, so that others may have the server's place.

    A job cannot do it: it may have been killed, or not even have begun. So the process that starts the jobs does, by
    what Snakemake logs of them.

    Args:
        attempts: How many times Snakemake tries a job of rule evaluate.
    """

    def __init__(self, attempts: int) -> None:
        super().__init__(logging.ERROR)
        self._attempts = attempts
        self._failures: Counter[int] = Counter()
        self._abandoned: set[Path] = set()
        self._again = Periodic(self._remove, AGAIN_S)

    def begin(self) -> None:
        """Watch Snakemake's log."""
        LOGGER.addHandler(self)
        self._again.begin()

    def end(self) -> None:
        """Watch it no more; safe to call twice."""
        LOGGER.removeHandler(self)
        self._again.end()

    def emit(self, record: logging.LogRecord) -> None:
        """Count the failed attempts of a job."""
        told = record.__dict__
        if told.get("event") != LogEvent.JOB_ERROR or told.get("rule_name") != RULE:
            return
        self._failures[told["jobid"]] += 1
        if self._failures[told["jobid"]] >= self._attempts:
            # The inputs of the rule are leases, and nothing else.
            self._abandoned.update(Path(file) for file in told["input"])
            self._remove()

    def _remove(self) -> None:
        """Remove them; what a file system does not let go now goes a second later."""
        for lease in list(self._abandoned):
            try:
                lease.unlink(missing_ok=True)
            except OSError:
                continue
            self._abandoned.discard(lease)
