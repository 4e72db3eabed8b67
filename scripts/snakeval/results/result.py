"""Writes and reads `result.json`, the only thing that later steps know of a task."""

import gzip
import json
import math
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from snakeval import __version__
from snakeval.config.model import Config, Deployment, Task
from snakeval.errors import HarnessError
from snakeval.harnesses.base import Outcome
from snakeval.system.checkout import SCHEMAS
from snakeval.system.files import write_json

SCHEMA = SCHEMAS / "result.schema.yaml"


def build_result(
    config: Config,
    deployment: Deployment,
    task: Task,
    outcome: Outcome,
    started_at: float,
    ended_at: float,
    attempt: int,
) -> dict[str, Any]:
    """Return the content of result.json; valid by `schemas/result.schema.yaml`."""
    return {
        "schema_version": 1,
        "run": config.run,
        "deployment": deployment.name,
        "served_model_name": deployment.served_model_name,
        "deployment_type": deployment.type,
        "task": task.name,
        "harness": task.harness,
        "harness_task": task.task,
        "protocol": task.protocol.value,
        "limit": task.limit,
        "repeats": task.repeats,
        "metrics": [asdict(metric) for metric in outcome.metrics],
        "samples": {"asked": outcome.asked, "answered": outcome.answered, "failed": outcome.failed},
        "tokens": {"prompt": outcome.prompt_tokens, "completion": outcome.completion_tokens},
        "requests": {
            "sent": outcome.requests_sent,
            "resumed": outcome.requests_cached,
            "retried": outcome.requests_retried,
        },
        "times": {
            "started_at": _iso(started_at),
            "ended_at": _iso(ended_at),
            "duration_s": round(ended_at - started_at, 3),
            "attempt": attempt,
        },
        "fingerprint": {
            "deployment": deployment.fingerprint,
            "task": task.fingerprint,
            "components": {"deployment": dict(deployment.components), "task": dict(task.components)},
        },
        "versions": {"snakeval": __version__, **outcome.versions},
        "settings": _settings_of(task),
    }


def validate_result(result: Mapping[str, Any]) -> None:
    """Check a result by its schema and by what a schema cannot say.

    Raises:
        HarnessError: it is malformed, has no metric, or scores fewer samples than it asked.
    """
    import jsonschema

    errors = list(jsonschema.Draft202012Validator(_schema()).iter_errors(dict(result)))
    if errors:
        first = errors[0]
        raise HarnessError(f"result of {result.get('task')} is malformed at {first.json_path}: {first.message[:200]}")
    samples = result["samples"]
    if samples["answered"] != samples["asked"] or samples["failed"]:
        unanswered = samples["asked"] - samples["answered"]
        raise HarnessError(f"{unanswered} of {samples['asked']} samples got no answer ({samples['failed']} failed)")
    for metric in result["metrics"]:
        for number in ("value", "stderr", "ci_low", "ci_high"):
            if metric.get(number) is not None and not math.isfinite(metric[number]):
                raise HarnessError(f"{number} of metric {metric['name']} is {metric[number]}, which is no score")


def read_result(path: Path) -> dict[str, Any] | None:
    """Return a valid result, None when it is absent; raises HarnessError when it is malformed."""
    try:
        result = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise HarnessError(f"{path} is not JSON: {error}") from None
    if not isinstance(result, dict):
        raise HarnessError(f"{path} is not a JSON object")
    validate_result(result)
    return result


def read_valid_results(folder: Path) -> Iterator[dict[str, Any]]:
    """Yield the results of a deployment's folder by name of the task, malformed ones left out."""
    for path in sorted(folder.glob("*/result.json")):
        with suppress(HarnessError):
            result = read_result(path)
            if result is not None:
                yield result


def write_result(path: Path, result: Mapping[str, Any]) -> None:
    """Validate and write result.json, atomically."""
    validate_result(result)
    write_json(path, dict(result))


def write_samples(path: Path, samples: Iterator[dict[str, Any]]) -> int:
    """Write one JSON line per sample and repeat, gzip, atomically; returns the number of lines."""
    count = 0
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    # No name and no time in the header: equal samples make equal bytes.
    try:
        with (
            os.fdopen(handle, "wb") as raw,
            gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0) as packed,
        ):
            for sample in samples:
                # Half a surrogate pair, which a model may answer with, is written as JSON's own escape.
                packed.write(json.dumps(sample, ensure_ascii=False).encode(errors="backslashreplace") + b"\n")
                count += 1
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    return count


def _settings_of(task: Task) -> dict[str, Any]:
    hidden = ("command", "pre_cmd", "post_cmd")
    return {name: value for name, value in task.settings.items() if value is not None and name not in hidden}


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, tz=UTC).isoformat(timespec="milliseconds")


@cache
def _schema() -> dict[str, Any]:
    return dict(yaml.safe_load(SCHEMA.read_text(encoding="utf-8")))
