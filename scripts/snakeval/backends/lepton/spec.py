"""What is asked of Lepton for a server: names and the specification of its endpoint. Pure; the SDK is not needed.

The fields and what becomes of them: leptonai 0.47.1, `LeptonDeploymentUserSpec`.
"""

import json
import re
from collections.abc import Mapping
from typing import Any

from snakeval.config.model import Deployment, Execution
from snakeval.system.hashing import sha256_hex

PREFIX = "sv-"
PORT = 8000
ANY_ADDRESS = "0.0.0.0"


def run_prefix(owner: str) -> str:
    """Return how the names of all endpoints and secrets of a run begin; `owner` is the run's own random number."""
    return f"{PREFIX}{owner[:6]}-"


def endpoint_name(owner: str, run: str, deployment: Deployment) -> str:
    """Return the name of a deployment's endpoint, at most 36 characters; it finds one that was never recorded."""
    base = (deployment.options.get("lepton_config") or {}).get("endpoint_name") or deployment.name
    digest = sha256_hex(f"{run}\0{deployment.name}", 4)
    return f"{run_prefix(owner)}{_slug(run)[:9].strip('-')}-{_slug(base)[:11].strip('-')}-{digest}"


def port_of(deployment: Deployment) -> int:
    """Return the port inside the container."""
    return deployment.port or PORT


def named_token(deployment: Deployment, execution: Execution) -> str | None:
    """Return the Lepton secret whose value is the endpoint's key; None when every start makes a key of its own."""
    tokens = (deployment.options.get("lepton_config") or {}).get("api_tokens") or []
    if tokens:
        return str(tokens[0]["value_from"]["token_name_ref"])
    found: str | None = execution.options["api_token_secret"]
    return found


def secret_references(deployment: Deployment, execution: Execution) -> dict[str, str]:
    """Return the variables of the server that Lepton fills from its secrets: variable -> secret."""
    renamed = execution.options["secrets"]
    names = {
        name: value.removeprefix("host:") for name, value in deployment.env_vars.items() if value.startswith("host:")
    }
    found = {name: str(renamed.get(source, source)) for name, source in names.items()}
    for name, value in _platform_envs(deployment).items():
        if isinstance(value, dict):
            found[name] = str(value["value_from"]["secret_name_ref"])
    return found


def endpoint_spec(
    deployment: Deployment, execution: Execution, script: str, token: str, group_ids: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Return the specification of an endpoint; it holds no secret, only names of secrets.

    Args:
        deployment: What is served.
        execution: Of type lepton.
        script: The rendered launch script: the container's command.
        token: Name of the secret with the endpoint's key.
        group_ids: Name of a node group -> id; without it the name stands for the id, in what is only hashed.
    """
    platform, options = deployment.options.get("lepton_config") or {}, execution.options
    spec: dict[str, Any] = {
        "container": {
            "image": image_of(deployment, execution),
            "ports": [{"container_port": port_of(deployment)}],
            "command": ["/bin/bash", "-c", script],
        },
        "resource_requirement": _resources(platform, execution, group_ids),
        "auto_scaler": _auto_scaler(platform, execution),
        "api_tokens": [{"value_from": {"token_name_ref": token}}],
        "envs": _envs(deployment, execution),
        "mounts": _mounts(platform, options),
        "image_pull_secrets": platform.get("image_pull_secrets") or options["image_pull_secrets"],
        "health": _without_nulls(platform.get("health") or {}) or _health(deployment, execution),
        "log": {"enable_collection": True},
    }
    priority = platform.get("queue_config") or options["queue_config"]
    return spec | ({"queue_config": _without_nulls(priority)} if priority else {})


def spec_hash(spec: Mapping[str, Any]) -> str:
    """Return the hash that tells one server from another."""
    return sha256_hex(json.dumps(spec, sort_keys=True), 16)


def image_of(deployment: Deployment, execution: Execution) -> str | None:
    """Return the image that the platform runs: the deployment's own, else that of the execution."""
    found: str | None = deployment.options.get("image") or execution.options["image"]
    return found


def _resources(
    platform: Mapping[str, Any], execution: Execution, group_ids: Mapping[str, str] | None
) -> dict[str, str | int | dict[str, list[str]]]:
    options = execution.options
    found = {
        "resource_shape": platform.get("resource_shape") or options["resource_shape"],
        "min_replicas": platform.get("min_replicas") or options["min_replicas"],
        "max_replicas": platform.get("max_replicas") or max(options["max_replicas"], platform.get("min_replicas") or 1),
        "shared_memory_size": platform.get("shared_memory_size") or options["shared_memory_mb"],
    }
    group = options["node_group"]
    if group:
        found["affinity"] = {"allowed_dedicated_node_groups": [(group_ids or {}).get(group, group)]}
    return {name: value for name, value in found.items() if value is not None}


def _auto_scaler(platform: Mapping[str, Any], execution: Execution) -> dict[str, Any]:
    """Scale to zero what nobody asks, and what never gets ready: the net for a run that was killed."""
    longest_start_s = execution.options["pending_timeout_s"] + execution.readiness_timeout_s
    given = _without_nulls(platform.get("auto_scaler") or {})
    down = {"no_traffic_timeout": execution.idle_timeout_s, "not_ready_timeout": longest_start_s}
    return {**given, "scale_down": {**down, **(given.get("scale_down") or {})}}


def _envs(deployment: Deployment, execution: Execution) -> list[dict[str, Any]]:
    plain = {
        name: value.removeprefix("lit:") for name, value in deployment.env_vars.items() if value.startswith("lit:")
    }
    plain |= {name: str(value) for name, value in _platform_envs(deployment).items() if not isinstance(value, dict)}
    secrets = secret_references(deployment, execution)
    return [{"name": name, "value": plain[name]} for name in sorted(plain)] + [
        {"name": name, "value_from": {"secret_name_ref": secrets[name]}} for name in sorted(secrets)
    ]


def _platform_envs(deployment: Deployment) -> Mapping[str, Any]:
    found: Mapping[str, Any] = (deployment.options.get("lepton_config") or {}).get("envs") or {}
    return found


def _mounts(platform: Mapping[str, Any], options: Mapping[str, Any]) -> list[dict[str, str]]:
    volumes = options["volumes"]
    mounts = [{"path": one.get("path", "/"), "from": one["from"], "mount_path": one["mount_path"]} for one in volumes]
    cache = platform.get("mounts") or {}
    if cache.get("enabled"):
        source = cache.get("from") or volumes[0]["from"]
        mounts.append({"path": cache["cache_path"], "from": source, "mount_path": cache["mount_path"]})
    return mounts


def _health(deployment: Deployment, execution: Execution) -> dict[str, Any]:
    """Lepton knows no HTTP probe: it looks whether the port is open, and not before the model may be loaded."""
    delay_s = execution.readiness_timeout_s
    return {"liveness": {"initial_delay_seconds": delay_s, "tcp": {"port": port_of(deployment)}}}


def _without_nulls(mapping: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is not null, at every level."""
    found = {name: _without_nulls(value) if isinstance(value, Mapping) else value for name, value in mapping.items()}
    return {name: value for name, value in found.items() if value is not None and value != {}}


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-") or "x"
