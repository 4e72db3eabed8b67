"""What Snakeval knows of a deployment type beside its keys: read from the `x-` keys of its schema."""

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import yaml

from snakeval.config.engines import environment_family
from snakeval.config.model import Deployment
from snakeval.config.reading.schema import Schema
from snakeval.errors import ExtensionError, Problem
from snakeval.system.checkout import ENVS, SCHEMAS, TEMPLATES


@dataclass(frozen=True)
class DeploymentType:
    """One way to serve a model.

    Attributes:
        name: The value of `deployment.type`.
        health_path: Path that answers 200 once the model is loaded, None when there is none.
        base_path: Where the OpenAI-compatible API begins.
        checks_api_key: Whether the server refuses requests without its key.
        has_server: False when the endpoint is already there.
    """

    name: str
    health_path: str | None
    base_path: str
    checks_api_key: bool
    has_server: bool


@cache
def deployment_type(name: str) -> DeploymentType:
    """Return the facts of a type; raises FileNotFoundError when there is no such schema."""
    engine = _schema(name).engine
    return DeploymentType(
        name=name,
        health_path=engine.health_path,
        base_path=engine.base_path,
        checks_api_key=engine.checks_api_key,
        has_server=engine.has_server,
    )


def file_options(name: str) -> tuple[str, ...]:
    """Return the keys of a type that name files beside the checkpoint."""
    return tuple(key for key, part in _schema(name).properties.items() if part.is_file)


def mounted_options(name: str) -> dict[str, str]:
    """Return the keys of a type that name folders to write to, and where a container has them."""
    parts = _schema(name).properties
    return {key: part.mounted_at for key, part in parts.items() if part.mounted_at}


def launch_template(name: str) -> str:
    """Return the template of a type's launch script, relative to the folder of templates.

    Raises:
        ExtensionError: there is none.
    """
    template = f"launch/{name}.sh.j2"
    if not (TEMPLATES / template).is_file():
        where, hint = f"schemas/deployment/{name}.schema.yaml", "a type without server says so by `x-has-server: false`"
        expected = f"scripts/templates/{template}"
        raise ExtensionError(Problem(where, "is a deployment type without a launch template", name, expected, hint))
    return template


@cache
def _schema(name: str) -> Schema:
    """Return the keys of a type alone, without those that all types have."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    text = (SCHEMAS / "deployment" / f"{name}.schema.yaml").read_text(encoding="utf-8")
    return Schema(yaml.load(text, Loader=loader))


def environment_lock(deployment: Deployment) -> Path | None:
    """Return the lock of the environment that the server runs in, None when it runs in none."""
    family = environment_family(deployment.options, _schema(deployment.type).engine)
    return ENVS / f"{family}.lock" if family else None


def checks_api_key(deployment: Deployment) -> bool:
    """Return whether its server must refuse requests without the key; a command of the user's own promises nothing."""
    if "checks_api_key" in deployment.options:
        return bool(deployment.options["checks_api_key"])
    return deployment_type(deployment.type).checks_api_key and not deployment.has_own_command


def startup_hint(deployment: Deployment, log: str) -> str | None:
    """Return what a server that did not start has written suggests, None when it says nothing that is known."""
    for known in (*_schema(deployment.type).engine.failure_hints, *_schema("common").engine.failure_hints):
        if re.search(known.when, log, re.IGNORECASE):
            return known.hint
    return None
