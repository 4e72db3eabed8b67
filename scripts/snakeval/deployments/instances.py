"""What the instances of a server need beside the server itself."""

from pathlib import Path

from snakeval.config.model import Deployment, Execution
from snakeval.deployments.types import deployment_type, environment_lock
from snakeval.system.checkout import ENVS

ROUTER_LOCK = ENVS / "router.lock"


def server_locks(deployment: Deployment, execution: Execution) -> tuple[Path, ...]:
    """Return the locks of the environments that a deployment's server runs in: its own and the router's, if any."""
    own = environment_lock(deployment)
    routed = execution.num_instances > 1 and deployment_type(deployment.type).has_server
    return tuple(lock for lock in (own, ROUTER_LOCK if routed else None) if lock is not None)
