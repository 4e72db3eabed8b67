"""What a server is given: a file with its key and its secret environment, and a clean rest of ours."""

import os
import secrets
from pathlib import Path

from snakeval.config.model import Deployment
from snakeval.config.secrets import resolve_env
from snakeval.run.server import Secrets


def write_secrets(path: Path, deployment: Deployment) -> None:
    """Write a new random API key and the deployment's environment; the supervisor reads and removes the file.

    Raises:
        ConfigError: a `host:` variable is not set.
    """
    runtime = {
        name: value.removeprefix("runtime:")
        for name, value in deployment.env_vars.items()
        if value.startswith("runtime:")
    }
    others = {name: value for name, value in deployment.env_vars.items() if name not in runtime}
    environment = resolve_env(others, os.environ) | {"SNAKEVAL_API_KEY": secrets.token_urlsafe(32)}
    Secrets(environment, runtime).write(path)
