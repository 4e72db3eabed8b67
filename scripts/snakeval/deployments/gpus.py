"""How many GPUs a deployment holds, as far as its configuration says."""

import re
from math import prod

from snakeval.config.model import Config, Deployment, Execution
from snakeval.deployments.types import deployment_type

# gres as in sbatch(1): gpu, gpu:4, gpu:a100:4, several with commas between them.
GRES = re.compile(r"(?:^|,)gpu(?::[A-Za-z][\w.-]*)?(?::(\d+))?(?=,|$|\()")
PARALLEL = ("tensor_parallel_size", "pipeline_parallel_size", "data_parallel_size")


def gpus_of(config: Config, deployment: Deployment) -> int | None:
    """Return the number of GPUs: those that are asked of the batch system, else those that the engine uses.

    None when neither says; 0 for an endpoint that was there before, which costs nothing here.
    """
    if not deployment_type(deployment.type).has_server:
        return 0
    asked = _asked(config.execution)
    if asked is not None:
        return asked
    sizes = [int(deployment.options[name]) for name in PARALLEL if deployment.options.get(name)]
    return prod(sizes) * config.execution.num_instances if sizes else None


def _asked(execution: Execution) -> int | None:
    """Return what the execution asks for, over all nodes."""
    per_node = gpus_per_node(execution)
    return None if per_node is None else per_node * execution.num_nodes


def gpus_per_node(execution: Execution) -> int | None:
    """Return the GPUs that the execution asks for on each node; None when it does not say."""
    options = execution.options
    if options.get("gpus_per_node") is not None:
        return int(options["gpus_per_node"])
    counts = [int(found[1] or 1) for found in GRES.finditer(str(options.get("gres") or ""))]
    return sum(counts) if counts else None
