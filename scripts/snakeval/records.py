"""The small records of a run: what is deployed, what was torn down, and what everything resolved to."""

import hashlib
import json
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from snakeval import __version__
from snakeval.backends import backend_of
from snakeval.config.model import Config, Deployment
from snakeval.containers import container_runtime
from snakeval.deployment_types import deployment_type
from snakeval.environments import harness_lock
from snakeval.files import read_json, write_json, write_text
from snakeval.fingerprint import pinned_versions
from snakeval.instances.plan import server_locks
from snakeval.paths import RunPaths
from snakeval.results import read_result


def write_deployment(deployment: Deployment, path: Path) -> None:
    """Rule deploy: write what is served; only what changes a score, so that the file speaks for the results."""
    hidden = {"command", "pre_cmd", "api_key_name", "ngc_api_key_name"}
    write_json(
        path,
        {
            "name": deployment.name,
            "type": deployment.type,
            "served_model_name": deployment.served_model_name,
            "options": {name: value for name, value in deployment.options.items() if name not in hidden},
            "fingerprint": deployment.fingerprint,
        },
    )


def tear_down(config: Config, deployment: Deployment, path: Path) -> None:
    """Rule teardown: stop the server, if there is one, and write how it lived."""
    paths = RunPaths(config.execution.output_dir / config.run)
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


def write_lock_file(config: Config) -> None:
    """Write lock.yaml: the versions and digests that made the numbers."""
    paths = RunPaths(config.execution.output_dir / config.run)
    results = {}
    for deployment in config.deployments:
        for task in config.tasks:
            result = read_result(paths.task(deployment.name, task.name).result)
            if result is not None:
                results[f"{deployment.name}/{task.name}"] = {
                    "fingerprint": {part: result["fingerprint"][part] for part in ("deployment", "task")},
                    "versions": result["versions"],
                }
    found = {lock for one in config.served for lock in server_locks(one, config.execution)}
    found |= {lock for one in config.tasks if (lock := harness_lock(one))}
    locks = {lock.stem: lock for lock in sorted(found)}
    content = {
        "snakeval": __version__,
        "environments": {
            family: {"lock_sha256": hashlib.sha256(lock.read_bytes()).hexdigest(), "packages": pinned_versions(lock)}
            for family, lock in locks.items()
        },
        **_images(config, paths),
        "results": results,
    }
    write_text(paths.lock_file, yaml.safe_dump(json.loads(json.dumps(content)), sort_keys=False))


def _images(config: Config, paths: RunPaths) -> dict[str, Any]:
    """Return what the containers of servers ran; the id is known once such a server has been ready."""
    images = {
        one.name: {
            "reference": one.options["image"],
            "id": (read_json(paths.server(one.name).state) or {}).get("image"),
        }
        for one in config.served
        if container_runtime(one, config.execution) is not None
    }
    return {"images": images} if images else {}


def write_resolved_config(config: Config) -> None:
    """Write config.resolved.yaml: the effective configuration, secrets as names only."""
    paths = RunPaths(config.execution.output_dir / config.run)
    write_text(paths.resolved_config, yaml.safe_dump(json.loads(json.dumps(config.resolved)), sort_keys=False))


def _iso(seconds: float | None) -> str | None:
    return datetime.fromtimestamp(seconds, tz=UTC).isoformat(timespec="seconds") if seconds else None
