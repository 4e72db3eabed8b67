"""What a server is given: a file with its key and its secret environment, and a clean rest of ours."""

import os
import secrets
from collections.abc import Mapping
from pathlib import Path

from snakeval.config.model import Deployment
from snakeval.files import write_json
from snakeval.secrets import resolve_env

# Set by Snakemake for the threads of the job that starts the server, not for the server.
THREAD_VARIABLES = ("_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
BATCH_VARIABLES = ("SLURM_", "SBATCH_", "SRUN_")


def without_batch_variables(environ: Mapping[str, str]) -> dict[str, str]:
    """Return an environment without what an enclosing Slurm job has set: Slurm's commands would obey it."""
    return {
        name: value for name, value in environ.items() if name == "SLURM_CONF" or not name.startswith(BATCH_VARIABLES)
    }


def clean_environment() -> dict[str, str]:
    """Return our environment without what belongs to the job that we run in."""
    return {
        name: value
        for name, value in without_batch_variables(os.environ).items()
        if not (name.startswith("SNAKEVAL_") or name.endswith(THREAD_VARIABLES))
    }


def write_secrets(path: Path, deployment: Deployment) -> None:
    """Write a new random API key and the deployment's environment, mode 0600; the supervisor reads and removes it.

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
    write_json(path, {"environment": environment, "runtime": runtime}, mode=0o600)
