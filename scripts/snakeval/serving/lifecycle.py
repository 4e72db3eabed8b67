"""The small records of a run: what is deployed, what was torn down, and what everything resolved to."""

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from snakeval.backends import backend_of
from snakeval.config.model import Config, Deployment
from snakeval.deployments.types import deployment_type
from snakeval.run.deployment import ServedDeployment
from snakeval.run.paths import RunPaths
from snakeval.system.files import read_json, write_json


def write_deployment(deployment: Deployment, path: Path) -> None:
    """Rule deploy: write what is served; only what changes a score, so that the file speaks for the results."""
    hidden = {"command", "pre_cmd", "api_key_name", "ngc_api_key_name"}
    options = {name: value for name, value in deployment.options.items() if name not in hidden}
    ServedDeployment(
        name=deployment.name,
        type=deployment.type,
        served_model_name=deployment.served_model_name,
        options=options,
        fingerprint=deployment.fingerprint,
    ).write(path)


def tear_down(config: Config, deployment: Deployment, path: Path) -> None:
    """Rule teardown: stop the server, if there is one, and write how it lived."""
    paths = RunPaths(config.folder)
    record: dict[str, Any] = {"deployment": deployment.name, "type": deployment.type}
    if deployment_type(deployment.type).has_server:
        backend_of(config).stop(deployment.name)
        state = read_json(paths.server(deployment.name).state) or {}
        record |= {
            name: state.get(name) for name in ("server_id", "restarts", "host", "port", "state", "reason", "image")
        }
        for name in ("started_at", "ready_at", "updated_at"):
            record[name] = _iso(state.get(name))
    record["torn_down_at"] = _iso(time.time())
    write_json(path, record)


def _iso(seconds: float | None) -> str | None:
    return datetime.fromtimestamp(seconds, tz=UTC).isoformat(timespec="seconds") if seconds else None
