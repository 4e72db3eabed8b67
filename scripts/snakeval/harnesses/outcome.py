"""Reads what harnesses leave in their folder, and believes none of it unchecked."""

import json
import math
import signal
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from snakeval.errors import HarnessError
from snakeval.harnesses.base import Metric, Outcome
from snakeval.harnesses.runners.snakeval_runners.shared import outcome, progress
from snakeval.harnesses.runners.snakeval_runners.shared.outcome import OutcomeRecord
from snakeval.run.attempt import Progress
from snakeval.system.files import read_json


def read_outcome(path: Path) -> Outcome:
    """Return the outcome in a file of the form that runners and programs of harness `command` write.

    Raises:
        HarnessError: The file is missing or malformed, a value is not a number, or a sample has no answer.
    """
    return outcome_of(read_content(path), path)


def outcome_of(content: object, path: Path) -> Outcome:
    """Return the outcome in the parsed content of a file; raises HarnessError as `read_outcome` does."""
    try:
        record = outcome.read_outcome(content)
    except (KeyError, TypeError) as error:
        raise HarnessError(f"{path} is malformed: {type(error).__name__}: {error}") from error
    return _checked(record)


def read_content(path: Path) -> object:
    """Return the JSON object in a file; raises HarnessError when there is none."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise HarnessError(f"the harness ended without an outcome: there is no {path}") from None
    except ValueError as error:
        raise HarnessError(f"{path} is not JSON: {error}") from None
    if not isinstance(content, dict):
        raise HarnessError(f"{path} is not a JSON object but {type(content).__name__}")
    return content


def _checked(record: OutcomeRecord) -> Outcome:
    asked, answered, failed = record.samples.asked, record.samples.answered, record.samples.failed
    if answered != asked or failed or asked < 1:
        raise HarnessError(f"{asked - answered} of {asked} samples got no answer ({failed} failed)")
    if not record.metrics:
        raise HarnessError("the harness computed no metric")
    for metric in record.metrics:
        if not math.isfinite(metric.value):
            raise HarnessError(f"metric {metric.name} is {metric.value}, which is no score")
        if metric.stderr is not None and not (math.isfinite(metric.stderr) and metric.stderr >= 0):
            raise HarnessError(f"metric {metric.name} has the standard error {metric.stderr}")
        if not 1 <= metric.n <= asked:
            raise HarnessError(f"metric {metric.name} counts n = {metric.n} samples, but {asked} were asked")
    return Outcome(
        metrics=tuple(Metric(**asdict(metric)) for metric in record.metrics),
        asked=asked,
        answered=answered,
        failed=failed,
        prompt_tokens=record.tokens.prompt,
        completion_tokens=record.tokens.completion,
        requests_sent=record.requests.sent,
        requests_cached=record.requests.cached,
        requests_retried=record.requests.retried,
        versions=record.versions,
    )


def read_progress(path: Path) -> Progress | None:
    """Return the counts in progress.json, None when it is absent or not (yet) readable."""
    try:
        record = progress.read_progress(read_json(path))
    except (KeyError, TypeError):
        return None
    return Progress(record.done, record.total)


def read_samples(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the objects of a JSONL file, nothing when it is absent.

    Raises:
        HarnessError: A line is not a JSON object.
    """
    if not path.exists():
        return
    with path.open(encoding="utf-8", errors="replace") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                sample = json.loads(line)
            except ValueError as error:
                raise HarnessError(f"line {number} of {path} is not JSON: {error}") from None
            if not isinstance(sample, dict):
                raise HarnessError(f"line {number} of {path} is not a JSON object")
            yield sample


def describe_status(returncode: int) -> str:
    """Say how a process ended, e.g. "was killed by SIGKILL (out of memory?)"."""
    number = -returncode if returncode < 0 else returncode - 128
    if returncode < 0 or number in (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGSEGV, signal.SIGABRT):
        try:
            name = signal.Signals(number).name
        except ValueError:
            name = f"signal {number}"
        return f"was killed by {name}" + (" (out of memory?)" if number == signal.SIGKILL else "")
    return f"ended with exit status {returncode}"
