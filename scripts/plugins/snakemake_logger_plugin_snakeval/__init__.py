"""Snakemake's command line for users of Snakeval; Snakemake finds this package because its name says logger plugin.

* `--config deployment.port=9000`: dotted keys, which Snakemake 9 refuses although its values may be nested. A plugin is
  the one place that Snakemake imports before it reads `--config`.
* `--configfile` that does not exist: Snakeval's four lines instead of Snakemake's traceback.
* `--logger snakeval`: one line per ended job instead of Snakemake's blocks.
"""

import re
import sys
from logging import LogRecord
from pathlib import Path
from typing import Any

import snakemake.cli
from snakemake.settings import types
from snakemake_interface_logger_plugins.base import LogHandlerBase
from snakemake_interface_logger_plugins.common import LogEvent

DOTTED = re.compile(r"[A-Za-z_][\w-]*(\.[\w-]+)+")


def parse_config(entries: list[str] | None) -> dict[str, Any]:
    """Parse the entries of --config as Snakemake does, dotted keys included; those stay flat: {"a.b": value}."""
    dotted, plain = {}, []
    for entry in entries or []:
        key, separator, value = entry.partition("=")
        if separator and DOTTED.fullmatch(key):
            dotted[key] = _parse_plain([f"value={value}"])["value"]
        else:
            plain.append(entry)
    return dict(_parse_plain(plain)) | dotted


def load_configfile(path: Any) -> Any:
    """Read a configuration file as Snakemake does; ends with status 1 and a readable message when it is not there."""
    if not Path(path).is_file():
        print(
            f"error: {path} does not exist\n"
            f"  got:      --configfile {path}, in {Path.cwd()}\n"
            "  expected: a YAML or JSON file\n"
            "  hint:     relative paths begin at the directory in which snakemake runs",
            file=sys.stderr,
        )
        sys.exit(1)
    return _load_plain(path)


# Whoever imports this module again finds Snakemake's own function behind the one that is in its place already.
_parse_plain = getattr(snakemake.cli.parse_config, "snakeval_plain", snakemake.cli.parse_config)
parse_config.snakeval_plain = _parse_plain  # type: ignore[attr-defined]
snakemake.cli.parse_config = parse_config
_load_plain = getattr(types.load_configfile, "snakeval_plain", types.load_configfile)
load_configfile.snakeval_plain = _load_plain  # type: ignore[attr-defined]
types.load_configfile = load_configfile


class LogHandler(LogHandlerBase):
    """Prints one line per ended job, and errors."""

    def __post_init__(self) -> None:
        self._jobs: dict[int, str] = {}

    def emit(self, record: LogRecord) -> None:
        """Print what matters of one of Snakemake's records."""
        event = getattr(record, "event", None)
        if event == LogEvent.JOB_INFO:
            wildcards = getattr(record, "wildcards", None) or {}
            name = " ".join([str(getattr(record, "rule_name", "")), "/".join(map(str, wildcards.values()))])
            self._jobs[record.jobid] = name.strip()  # type: ignore[attr-defined]
        elif event == LogEvent.JOB_FINISHED:
            print(f"done: {self._jobs.get(record.job_id)}", file=sys.stderr)  # type: ignore[attr-defined]
        elif event == LogEvent.PROGRESS:
            print(f"{record.done} of {record.total} jobs", file=sys.stderr)  # type: ignore[attr-defined]
        elif event == LogEvent.JOB_ERROR:
            print(f"failed: {self._jobs.get(record.jobid)}", file=sys.stderr)  # type: ignore[attr-defined]
        elif record.levelname == "ERROR":
            print(record.getMessage(), file=sys.stderr)

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
