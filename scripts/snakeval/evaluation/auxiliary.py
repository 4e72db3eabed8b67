"""What a task is told of the auxiliary deployments that it uses: URL and model as texts, the key by a variable."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from snakeval.config.auxiliaries import BASE_URL, KEY, MODEL, URL, with_references
from snakeval.config.model import Deployment, Task
from snakeval.endpoint import Endpoint

# Clients insist on some key also where nobody asks for one.
NO_KEY = "none"


def informed(task: Task, auxiliary: Sequence[tuple[Deployment, Endpoint]]) -> tuple[Task, Mapping[str, str]]:
    """Return the task with what it says of auxiliary deployments replaced, and the keys by names of variables.

    Args:
        task: The task.
        auxiliary: Those that it uses, and where they answer.

    Returns:
        The task, and name -> secret: variables that its `env_vars` refer to as `host:NAME`.
    """
    facts = {one.name: _facts(endpoint) for one, endpoint in auxiliary}
    variables: dict[str, str] = {}
    keys: dict[str, str] = {}
    for one, endpoint in auxiliary:
        variables |= {f"{one.env_prefix}_{name}": f"lit:{value}" for name, value in facts[one.name].items()}
        name = f"{one.env_prefix}_{KEY}"
        variables[name] = f"host:{name}"
        keys[name] = endpoint.api_key or NO_KEY
    own = with_references(task.env_vars, facts)
    return replace(task, settings=with_references(task.settings, facts), env_vars=variables | own), keys


def _facts(endpoint: Endpoint) -> dict[str, str]:
    base = endpoint.base_url.rstrip("/")
    return {URL: f"{base}/chat/completions", BASE_URL: base, MODEL: endpoint.model}
