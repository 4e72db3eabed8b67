"""What Snakeval knows of a deployment type beside its keys: read from the `x-` keys of its schema."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from snakeval.config.model import Deployment
from snakeval.environments import ENVS

SCHEMAS = Path(__file__).parents[2] / "schemas" / "deployment"


@dataclass(frozen=True)
class DeploymentType:
    """One way to serve a model.

    Attributes:
        name: The value of `deployment.type`.
        environment: The family in `envs/` that its server runs in, None when it brings its own command.
        health_path: Path that answers 200 once the model is loaded, None when there is none.
        base_path: Where the OpenAI-compatible API begins.
        checks_api_key: Whether the server refuses requests without its key.
        has_server: False when the endpoint is already there.
    """

    name: str
    environment: str | None
    health_path: str | None
    base_path: str
    checks_api_key: bool
    has_server: bool


@cache
def deployment_type(name: str) -> DeploymentType:
    """Return the facts of a type; raises FileNotFoundError when there is no such schema."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    text = (SCHEMAS / f"{name}.schema.yaml").read_text(encoding="utf-8")
    schema: dict[str, Any] = yaml.load(text, Loader=loader)
    return DeploymentType(
        name=name,
        environment=schema.get("x-environment"),
        health_path=schema.get("x-health-path"),
        base_path=schema.get("x-base-path", "/v1"),
        checks_api_key=schema.get("x-checks-api-key", False),
        has_server=schema.get("x-has-server", True),
    )


def environment_lock(deployment: Deployment) -> Path | None:
    """Return the lock of the environment that the server runs in, None when its command brings its own."""
    family = deployment_type(deployment.type).environment
    return ENVS / f"{family}.lock" if family else None
