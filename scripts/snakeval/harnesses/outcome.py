"""Reads what harnesses leave in their folder, and believes none of it unchecked."""

import json
import math
import signal
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from snakeval.errors import HarnessError
from snakeval.harnesses.base import Metric, Outcome
from snakeval.run.attempt import Progress
from snakeval.system.files import read_json


def read_outcome(path: Path) -> Outcome:
    """Return the outcome in a file of the form that runners and programs of harness `command` write.

    Raises:
        HarnessError: The file is missing or malformed, a value is not a number, or a sample has no answer.
    """
    content = read_content(path)
    try:
        return _outcome(content)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise HarnessError(f"{path} is malformed: {type(error).__name__}: {error}") from error


def read_content(path: Path) -> dict[str, Any]:
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


def _outcome(content: Mapping[str, Any]) -> Outcome:
    samples = content["samples"]
    asked, answered, failed = _count(samples["asked"]), _count(samples["answered"]), _count(samples.get("failed", 0))
    if answered != asked or failed or asked < 1:
        raise HarnessError(f"{asked - answered} of {asked} samples got no answer ({failed} failed)")
    metrics = tuple(_metric(entry) for entry in content["metrics"])
    if not metrics:
        raise HarnessError("the harness computed no metric")
    for metric in metrics:
        if not 1 <= metric.n <= asked:
            raise HarnessError(f"metric {metric.name} counts n = {metric.n} samples, but {asked} were asked")
    tokens, requests = content.get("tokens") or {}, content.get("requests") or {}
    return Outcome(
        metrics=metrics,
        asked=asked,
        answered=answered,
        failed=failed,
        prompt_tokens=_optional_count(tokens.get("prompt")),
        completion_tokens=_optional_count(tokens.get("completion")),
        requests_sent=_optional_count(requests.get("sent")),
        requests_cached=_optional_count(requests.get("cached")),
        requests_retried=_optional_count(requests.get("retried")),
        versions=dict(content.get("versions") or {}),
    )


def _metric(entry: Mapping[str, Any]) -> Metric:
    name, value, stderr = str(entry["name"]), _number(entry["value"]), entry.get("stderr")
    if not math.isfinite(value):
        raise HarnessError(f"metric {name} is {value}, which is no score")
    if stderr is not None and not (math.isfinite(_number(stderr)) and stderr >= 0):
        raise HarnessError(f"metric {name} has the standard error {stderr}")
    better = entry.get("higher_is_better")
    return Metric(
        name=name,
        filter=str(entry.get("filter") or "none"),
        subtask=None if entry.get("subtask") is None else str(entry["subtask"]),
        value=value,
        stderr=None if stderr is None else float(stderr),
        n=_count(entry["n"]),
        higher_is_better=better if isinstance(better, bool) else None,
    )


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{value!r} is not a number")
    return float(value)


def _count(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise TypeError(f"{value!r} is not a count")
    return value


def _optional_count(value: Any) -> int | None:
    return None if value is None else _count(value)


def read_progress(path: Path) -> Progress | None:
    """Return the counts in progress.json, None when it is absent or not (yet) readable."""
    content = read_json(path)
    try:
        return Progress(_count(content["done"]), _count(content["total"])) if isinstance(content, dict) else None
    except (KeyError, TypeError):
        return None


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
