"""How many instances a server has, on which nodes, and what they need beside the server itself."""

from pathlib import Path

from snakeval.config.model import Deployment, Execution
from snakeval.deployments.types import deployment_type, environment_lock
from snakeval.system.checkout import ENVS

ROUTER_LOCK = ENVS / "router.lock"


def num_instances(execution: Execution) -> int:
    """Return how many instances every server of the run has; 1 where the backend knows no others."""
    return int(execution.options.get("num_instances", 1))


def nodes_per_instance(execution: Execution) -> int:
    """Return the nodes of one instance; the configuration's rules see to it that the division leaves no rest."""
    return int(execution.options.get("num_nodes", 1)) // num_instances(execution)


def server_locks(deployment: Deployment, execution: Execution) -> tuple[Path, ...]:
    """Return the locks of the environments that a deployment's server runs in: its own and the router's, if any."""
    own = environment_lock(deployment)
    routed = num_instances(execution) > 1 and deployment_type(deployment.type).has_server
    return tuple(lock for lock in (own, ROUTER_LOCK if routed else None) if lock is not None)
