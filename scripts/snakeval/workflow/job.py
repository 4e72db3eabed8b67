"""What every job of the workflow has in common: its configuration, its log, and how its errors look."""

import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from snakeval.config import load_config
from snakeval.config.model import Comparison, Config, Deployment, Export, Task
from snakeval.errors import SnakevalError
from snakeval.system.checkout import ROOT

# Set where the terminal belongs to a table that a job's own lines would break.
SILENT_VARIABLE = "SNAKEVAL_SILENT"


@dataclass(frozen=True)
class Source:
    """Where the configuration comes from; the Snakefile hands it to scripts as `snakemake.config`."""

    configfiles: Sequence[str]
    overrides: Mapping[str, Any]

    def load(self) -> Config:
        """Load the configuration that the Snakefile has validated."""
        files = [Path(path) for path in self.configfiles]
        return load_config(files, self.overrides, ROOT, {}, check_environ=False)


@dataclass(frozen=True)
class JobLog:
    """The log of one job, open for writing."""

    label: str
    stream: IO[str]

    def say(self, message: str) -> None:
        """Write a line to the log and, with the job's label, to the terminal."""
        self.stream.write(f"[{time.strftime('%Y-%m-%d %H:%M:%S')}] {message}\n")
        self.stream.flush()
        _print(f"[{self.label}] {message}")


@contextmanager
def job(log: Path, label: str, attempt: int = 1) -> Iterator[JobLog]:
    """Open the job's log, and end the process with status 1 and a readable message on a `SnakevalError`.

    Args:
        log: Emptied by the first attempt; later attempts append.
        label: Names the job on the terminal, e.g. "evaluate smollm2/gsm8k".
        attempt: Which attempt of the rule it is.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    kept = log.with_name(f".{log.name}.kept")
    _keep_earlier_attempts(log, kept, attempt)
    with log.open("w" if attempt == 1 else "a", encoding="utf-8") as stream:
        # A file system without links loses the earlier attempts' lines on a cluster, and nothing else.
        with suppress(OSError):
            os.link(log, kept)
        journal = JobLog(label, stream)
        if attempt > 1:
            stream.write(f"\n--- attempt {attempt}\n")
            stream.flush()
        try:
            yield journal
            kept.unlink(missing_ok=True)
        except SnakevalError as error:
            text = str(error).removeprefix("error: ")
            stream.write(f"error: {text}\n")
            _print(f"\nerror: {label}, attempt {attempt}: {text}\n  log: {log}\n")
            sys.exit(1)
        except KeyboardInterrupt:
            stream.write("interrupted\n")
            sys.exit(130)


def _keep_earlier_attempts(log: Path, kept: Path, attempt: int) -> None:
    """Bring back the log of the earlier attempts: Snakemake deletes it when it prepares a job on a cluster's node."""
    if attempt > 1 and kept.exists() and not (log.exists() and log.stat().st_size):
        kept.replace(log)
    kept.unlink(missing_ok=True)


def _print(text: str) -> None:
    if SILENT_VARIABLE not in os.environ:
        print(text, file=sys.stderr, flush=True)


def deployment_named(config: Config, name: str) -> Deployment:
    """Return the deployment of that name."""
    return next(one for one in config.served if one.name == name)


def task_named(config: Config, name: str) -> Task:
    """Return the task of that name."""
    return next(one for one in config.tasks if one.name == name)


def comparison_named(config: Config, name: str) -> Comparison:
    """Return the comparison of that name."""
    return next(one for one in config.comparisons if one.name == name)


def export_named(config: Config, format: str) -> Export:
    """Return the export of that format."""
    return next(one for one in config.exports if one.format == format)
