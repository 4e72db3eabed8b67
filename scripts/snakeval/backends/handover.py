"""What a server is given: a file with its secret environment, in which its supervisor writes the keys."""

import os
from pathlib import Path

from snakeval.config.model import Deployment
from snakeval.config.secrets import resolve_env
from snakeval.run.server import Secrets


def write_secrets(path: Path, deployment: Deployment) -> None:
    """Write the deployment's environment; the supervisor adds a key at each start of the server, and removes the file.

    Raises:
        ConfigError: a `host:` variable is not set.
    """
    runtime = {
        name: value.removeprefix("runtime:")
        for name, value in deployment.env_vars.items()
        if value.startswith("runtime:")
    }
    others = {name: value for name, value in deployment.env_vars.items() if name not in runtime}
    Secrets(resolve_env(others, os.environ), runtime).write(path)
