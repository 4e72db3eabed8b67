"""`lock.yaml`: the versions and digests that made the numbers."""

import hashlib
import json
from typing import Any

import yaml

from snakeval import __version__
from snakeval.config.fingerprint import pinned_versions
from snakeval.config.model import Config
from snakeval.deployments.containers import container_runtime
from snakeval.deployments.instances import server_locks
from snakeval.harnesses.availability import harness_lock
from snakeval.results.result import read_result
from snakeval.run.paths import RunPaths, ServerPaths
from snakeval.run.server import ServerRecord
from snakeval.system.files import write_text


def write_lock_file(config: Config) -> None:
    """Write lock.yaml: the versions and digests that made the numbers."""
    paths = RunPaths(config.folder)
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
        one.name: {"reference": one.options["image"], "id": _image_id(paths.server(one.name))}
        for one in config.served
        if container_runtime(one, config.execution) is not None
    }
    return {"images": images} if images else {}


def _image_id(files: ServerPaths) -> str | None:
    record = ServerRecord.read(files.state)
    return record.image if record is not None else None
