"""Rules deploy and teardown: write what is served, and stop the server and write how it lived."""

import time
from dataclasses import replace
from pathlib import Path

from snakeval.backends import backend_of
from snakeval.config.model import Config, Deployment
from snakeval.deployments.types import deployment_type
from snakeval.run.deployment import ServedDeployment, ServerTeardown, Teardown
from snakeval.run.paths import RunPaths
from snakeval.run.server import ServerRecord
from snakeval.system.times import iso_time


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
    if not deployment_type(deployment.type).has_server:
        Teardown(deployment.name, deployment.type, _iso(time.time())).write(path)
        return
    backend_of(config).stop(deployment.name)
    record = ServerRecord.read(paths.server(deployment.name).state)
    teardown = ServerTeardown(deployment.name, deployment.type, _iso(time.time()))
    if record is not None:
        teardown = replace(
            teardown,
            server_id=record.server_id,
            restarts=record.restarts,
            host=record.host,
            port=record.port,
            state=record.state,
            reason=record.reason,
            image=record.image,
            started_at=_iso(record.started_at) if record.started_at else None,
            ready_at=_iso(record.ready_at) if record.ready_at else None,
            updated_at=_iso(record.updated_at) if record.updated_at else None,
        )
    teardown.write(path)


def _iso(seconds: float) -> str:
    return iso_time(seconds, "seconds")
