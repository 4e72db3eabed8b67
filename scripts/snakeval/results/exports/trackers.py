"""Results for MLflow and Weights & Biases: names, values and limits of a tracker's run, and where secrets come from."""

import json
import os
import re
import shutil
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import IO, Any
from urllib.parse import unquote, urlsplit

from snakeval.config.model import Export
from snakeval.config.secrets import resolve_env
from snakeval.results.exports.request import Entry, Sent, TrackerRequest
from snakeval.results.exports.runner import run_exporter
from snakeval.results.measured import Measured, Scored, scored
from snakeval.results.metrics import is_plain
from snakeval.results.result import FreeJson, Result

MLFLOW_URI = "MLFLOW_TRACKING_URI"
_FORBIDDEN = re.compile(r"[^A-Za-z0-9_. :/-]")
_LONGEST_VALUE = 5000  # of MLflow's 6000 characters
_LONGEST_TAG = 4000
_LONGEST_ARTIFACT_NAME = 120
# MLflow's own seven, with growing pauses, would keep a run waiting for minutes on a server that is not there.
_PATIENCE = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "3"}
# Results go where the configuration says, and nothing goes to the makers of the clients.
_QUIET = {"MLFLOW_DISABLE_TELEMETRY": "true", "WANDB_ERROR_REPORTING": "false", "DO_NOT_TRACK": "true"}
_SECRETS = {"mlflow": ("token_name", "MLFLOW_TRACKING_TOKEN"), "wandb": ("api_key_name", "WANDB_API_KEY")}


def send_results(export: Export, measured: Sequence[Measured], folder: Path, log: IO[str]) -> list[Sent]:
    """Send every result to a tracker, one run each, and return what was sent.

    Args:
        export: The tracker.
        measured: The run; what is missing is not sent.
        folder: Of the export; what the tracker keeps for later is left in it (`mode: offline`).
        log: Open log.

    Raises:
        ExportError: not everything was sent; calling again completes it.
    """
    settings = completed(export, measured[0].run, os.environ)
    address, login = without_login(settings.get("tracking_uri") or "")
    if login:
        settings = {**settings, "tracking_uri": address}
    request = TrackerRequest(
        folder=str(folder.resolve()),
        settings=settings,
        entries=[entry(one, settings) for one in scored(measured)],
    )
    key, variable = _SECRETS[export.format]
    named = {variable: f"host:{settings[key]}"} if settings[key] else {}
    more = {**_QUIET, "WANDB_DATA_DIR": str(folder.resolve()), **login, **resolve_env(named, os.environ)}
    sent = run_exporter(export.format, request, log, {**_PATIENCE, **os.environ, **more})
    if settings.get("mode") == "online":
        # The client's own copies of what it has sent.
        for name in ("wandb", "artifacts"):
            shutil.rmtree(folder / name, ignore_errors=True)
    return sent


def completed(export: Export, run: str, environ: Mapping[str, str]) -> FreeJson:
    """Return the settings of a tracker with what they leave to the run and to the environment."""
    settings = export.settings
    if export.format == "mlflow":
        others = {name: value for name, value in settings.items() if name != "run_name"}
        uri = settings["tracking_uri"] or environ[MLFLOW_URI]
        return {**others, "tracking_uri": uri, "name": settings["run_name"] or run}
    return {**settings, "name": settings["name"] or run, "group": settings["group"] or run}


def without_login(uri: str) -> tuple[str, dict[str, str]]:
    """Return an address without user and password, and these as MLflow's variables: the client logs its address."""
    parts = urlsplit(uri)
    if parts.username is None:
        return uri, {}
    plain = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
    login = {"MLFLOW_TRACKING_USERNAME": unquote(parts.username)}
    return plain, login | ({"MLFLOW_TRACKING_PASSWORD": unquote(parts.password)} if parts.password else {})


def entry(scored: Scored, settings: FreeJson) -> Entry:
    """Return what a tracker's run of a result is to hold."""
    task, deployment = scored.task.name, scored.deployment.name
    mlflow = "tracking_uri" in settings
    own = dict(settings["tags"]) if mlflow else {}
    if mlflow and settings["description"]:
        own["mlflow.note.content"] = settings["description"]
    params = _params(scored)
    files = [scored.files.result, scored.files.samples] if settings["copy_artifacts"] else []
    return Entry(
        deployment=deployment,
        task=task,
        name=f"{settings['name']}/{deployment}/{task}",
        tags={**own, **_tags(scored)},
        params={name: _text(value, _LONGEST_VALUE) for name, value in params.items()} if mlflow else params,
        metrics=metric_values(task, scored.result),
        artifacts=[str(file.resolve()) for file in files if file.exists()],
        artifact_name=re.sub(r"[^\w.-]", "-", f"{scored.run}-{deployment}-{task}")[-_LONGEST_ARTIFACT_NAME:],
        started_at_ms=_milliseconds(scored.result.times.began),
        ended_at_ms=_milliseconds(scored.result.times.ended),
    )


def metric_values(task: str, result: Result) -> dict[str, float]:
    """Return the numbers of a result by names that MLflow and W&B allow.

    Names are `task[/subtask]/metric[/filter]`, then `_stderr`, `_ci_low`, `_ci_high` and `_n` of the same; tasks are in
    them because trackers compare runs by names.
    """
    values: dict[str, float] = {}
    for metric in result.metrics:
        kind = None if is_plain(metric.filter) else metric.filter
        parts = (task, metric.subtask, metric.name, kind)
        name = _unused("/".join(_FORBIDDEN.sub("_", part) for part in parts if part is not None), values)
        ends = {"_stderr": metric.stderr, "_ci_low": metric.ci_low, "_ci_high": metric.ci_high}
        for suffix, number in {"": metric.value, **ends, "_n": metric.n}.items():
            if number is not None:
                values[f"{name}{suffix}"] = float(number)
    counts = {
        "duration_s": result.times.duration_s,
        "prompt_tokens": result.tokens.prompt,
        "completion_tokens": result.tokens.completion,
    }
    return values | {f"{task}/{name}": float(number) for name, number in counts.items() if number is not None}


def _unused(name: str, values: Mapping[str, float]) -> str:
    """Two names may differ in forbidden characters alone."""
    number, found = 2, name
    while found in values:
        found, number = f"{name}.{number}", number + 1
    return found


def _tags(one: Scored) -> dict[str, str]:
    versions = {f"version.{name}": value for name, value in one.result.versions.items() if isinstance(value, str)}
    tags = {
        "run": one.run,
        "fingerprint": one.fingerprint,
        "deployment": one.deployment.name,
        "task": one.task.name,
        "served_model_name": one.deployment.served_model_name,
        **versions,
    }
    return {f"snakeval.{name}": _text(value, _LONGEST_TAG) for name, value in tags.items()}


def _params(one: Scored) -> FreeJson:
    """Return what the result was measured with; nothing in it changes while the fingerprint stays."""
    result = one.result
    params = {
        "deployment": one.deployment.name,
        "deployment_type": one.deployment.type,
        "served_model_name": one.deployment.served_model_name,
        "task": one.task.name,
        "harness": result.harness,
        "harness_task": result.harness_task,
        "protocol": result.protocol,
        "limit": result.limit,
        "repeats": result.repeats,
        "deployment_fingerprint": result.fingerprint.deployment,
        "task_fingerprint": result.fingerprint.task,
        **{f"settings.{name}": value for name, value in result.settings.items()},
    }
    return {_FORBIDDEN.sub("_", name): value for name, value in params.items()}


def _text(value: Any, longest: int) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= longest else text[: longest - 1] + "…"


def _milliseconds(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)
