"""`--logger snakeval`: on a terminal a table of servers and tasks that is kept up to date, elsewhere plain lines.

The Snakefile tells the handler by `watch` and `unwatch` which run it is about; all that it shows comes from the same
files as `snakeval status`. Failures stay on the terminal above the table.
"""

import sys
from logging import WARNING, Handler, LogRecord
from pathlib import Path
from typing import TYPE_CHECKING, Any

from snakemake_interface_logger_plugins.base import LogHandlerBase
from snakemake_interface_logger_plugins.common import LogEvent

if TYPE_CHECKING:
    from snakeval.commands.status.live import LiveView
    from snakeval.config.model import Config

TAIL_LINES = 4
# What Snakemake says of a failed script beside its JOB_ERROR: the name of a temporary file and an exit status.
REPEATED = "RuleException:\nCalledProcessError"


class LogHandler(LogHandlerBase):
    """See the module's docstring."""

    def __post_init__(self) -> None:
        self._jobs: dict[int, str] = {}
        self._view: LiveView | None = None
        # A plan is not a run: it is shown as Snakemake shows it.
        self._plan = _snakemakes_own(self.common_settings) if self.common_settings.dryrun else None

    def watch(self, config: "Config") -> None:
        """Show the run from now on; on something that is no terminal, only what ends and what fails is told."""
        from snakeval.commands.status.live import LiveView, can_show

        if can_show(sys.stderr):
            self._view = LiveView.started(config, sys.stderr)

    def unwatch(self) -> None:
        """Take the table away, so that what is printed next stands alone; safe to call twice."""
        view, self._view = self._view, None
        if view is not None:
            view.stop()

    def close(self) -> None:
        """End what is shown, whatever ended Snakemake."""
        self.unwatch()
        super().close()

    def emit(self, record: LogRecord) -> None:
        """Tell what matters of one of Snakemake's records."""
        if self._plan is not None:
            self._plan.handle(record)
            return
        event = getattr(record, "event", None)
        if event == LogEvent.JOB_INFO:
            self._jobs[_job_of(record)] = _name_of(record)
        elif event == LogEvent.JOB_FINISHED:
            self._finished(self._jobs.get(_job_of(record), ""))
        elif event == LogEvent.PROGRESS and self._view is None:
            self._tell(f"{record.done} of {record.total} jobs")  # type: ignore[attr-defined]
        elif event == LogEvent.JOB_ERROR:
            self._failed(self._jobs.get(_job_of(record), ""), getattr(record, "log", None) or [])
        elif event == LogEvent.ERROR or (event is None and record.levelno >= WARNING):
            message = record.getMessage()
            if message and not message.startswith(REPEATED):
                self._tell(message)

    def _finished(self, name: str) -> None:
        # Where there is a table, it tells the rest.
        if self._view is None or name.startswith("evaluate "):
            self._tell(f"done: {name}")

    def _failed(self, name: str, logs: list[str]) -> None:
        where = f" (log: {', '.join(logs)})" if logs else ""
        tail = ""
        if self._view is not None:
            # Without a table the job itself has said what is wrong.
            from snakeval.system.files import last_lines

            lines = "\n".join(last_lines(Path(log), TAIL_LINES) for log in logs)
            tail = "".join(f"\n    {line[:200]}" for line in lines.splitlines())
        self._tell(f"failed: {name}{where}{tail}")

    def _tell(self, text: str) -> None:
        if self._view is not None:
            self._view.print(text)
        else:
            print(text, file=sys.stderr, flush=True)

    @property
    def writes_to_stream(self) -> bool:
        """It prints to the terminal, in place of Snakemake's own logger."""
        return True

    @property
    def writes_to_file(self) -> bool:
        """It writes no file."""
        return False

    @property
    def has_filter(self) -> bool:
        """It filters by itself."""
        return True

    @property
    def has_formatter(self) -> bool:
        """It formats by itself."""
        return True

    @property
    def needs_rulegraph(self) -> bool:
        """It does not need the rule graph."""
        return False


def _job_of(record: LogRecord) -> int:
    """Return the number of the job, which Snakemake spells in two ways."""
    number = getattr(record, "jobid", None)
    return int(getattr(record, "job_id", -1) if number is None else number)


def _name_of(record: LogRecord) -> str:
    wildcards = getattr(record, "wildcards", None) or {}
    return f"{getattr(record, 'rule_name', '')} {'/'.join(map(str, wildcards.values()))}".strip()


def _snakemakes_own(settings: Any) -> Handler:
    """Return a handler that does what Snakemake does without a plugin."""
    from snakemake.logging import ColorizingTextHandler, DefaultFilter, DefaultFormatter

    handler: Handler = ColorizingTextHandler(
        nocolor=settings.nocolor, stream=sys.stdout if settings.stdout else sys.stderr
    )
    handler.addFilter(
        DefaultFilter(settings.quiet, settings.debug_dag, settings.verbose, settings.dryrun, settings.printshellcmds)
    )
    handler.setFormatter(DefaultFormatter(settings.quiet, settings.show_failed_logs))
    return handler
