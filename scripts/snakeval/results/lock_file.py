"""`lock.yaml`: the versions and digests that made the numbers."""

import json
from collections.abc import Mapping
from typing import TypedDict

import yaml

from snakeval import __version__
from snakeval.config.fingerprint import pinned_versions
from snakeval.config.model import Config
from snakeval.deployments.containers import container_runtime
from snakeval.deployments.instances import server_locks
from snakeval.harnesses.availability import harness_lock
from snakeval.results.measured import collect, scored
from snakeval.results.result import read_result
from snakeval.run.paths import RunPaths, ServerPaths
from snakeval.run.server import ServerRecord
from snakeval.system.files import write_text
from snakeval.system.hashing import sha256_hex


class _Image(TypedDict):
    """The reference of the configuration, and what it meant; None before a server has been ready."""

    reference: str
    id: str | None


def write_lock_file(config: Config) -> None:
    """Write lock.yaml: the versions and digests that made the numbers; raises HarnessError for a damaged result."""
    results = {
        f"{one.deployment.name}/{one.task.name}": {
            "fingerprint": {"deployment": one.result.fingerprint.deployment, "task": one.result.fingerprint.task},
            "versions": one.result.versions,
        }
        for one in scored(collect(config, read_result))
    }
    found = {lock for one in config.served for lock in server_locks(one, config.execution)}
    found |= {lock for one in config.tasks if (lock := harness_lock(one))}
    locks = {lock.stem: lock for lock in sorted(found)}
    content = {
        "snakeval": __version__,
        "environments": {
            family: {"lock_sha256": sha256_hex(lock.read_bytes()), "packages": pinned_versions(lock)}
            for family, lock in locks.items()
        },
        **_images(config),
        "results": results,
    }
    write_text(RunPaths(config.folder).lock_file, yaml.safe_dump(json.loads(json.dumps(content)), sort_keys=False))


def _images(config: Config) -> Mapping[str, Mapping[str, _Image]]:
    """Return what the containers of servers ran; the id is known once such a server has been ready."""
    paths = RunPaths(config.folder)
    images = {
        one.name: _Image(reference=one.options["image"], id=_image_id(paths.server(one.name)))
        for one in config.served
        if container_runtime(one, config.execution) is not None
    }
    return {"images": images} if images else {}


def _image_id(files: ServerPaths) -> str | None:
    record = ServerRecord.read(files.state)
    return record.image if record is not None else None
