"""Fills into a task where its auxiliary deployments answer: URL and model as texts, the key by a variable."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from snakeval.config.auxiliaries import BASE_URL, KEY, MODEL, URL, with_references
from snakeval.config.model import Deployment, Task
from snakeval.endpoint import Endpoint

# Clients insist on some key also where nobody asks for one.
NO_KEY = "none"


def with_auxiliaries(task: Task, endpoints: Sequence[tuple[Deployment, Endpoint]]) -> tuple[Task, Mapping[str, str]]:
    """Return the task with its references to auxiliary deployments replaced, and the keys by names of variables.

    Args:
        task: The task.
        endpoints: The auxiliary deployments that it uses, each with its endpoint.

    Returns:
        The task, and name -> secret: variables that its `env_vars` refer to as `host:NAME`.
    """
    facts = {deployment.name: _facts(endpoint) for deployment, endpoint in endpoints}
    variables: dict[str, str] = {}
    keys: dict[str, str] = {}
    for deployment, endpoint in endpoints:
        prefix = deployment.env_prefix
        variables |= {f"{prefix}_{name}": f"lit:{value}" for name, value in facts[deployment.name].items()}
        name = f"{prefix}_{KEY}"
        variables[name] = f"host:{name}"
        keys[name] = endpoint.api_key or NO_KEY
    # What the task itself says of a variable wins.
    env_vars = variables | with_references(task.env_vars, facts)
    return replace(task, settings=with_references(task.settings, facts), env_vars=env_vars), keys


def _facts(endpoint: Endpoint) -> dict[str, str]:
    base = endpoint.base_url.rstrip("/")
    return {URL: f"{base}/chat/completions", BASE_URL: base, MODEL: endpoint.model}
