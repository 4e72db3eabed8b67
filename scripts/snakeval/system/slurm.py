"""Slurm's commands, and what a job leaves in the environment of those who run in it."""

import os
import subprocess
from collections.abc import Mapping

from snakeval.errors import DeploymentError

COMMAND_TIMEOUT_S = 60
# Set by Snakemake for the threads of the job that starts the server, not for the server.
THREAD_VARIABLES = ("_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
BATCH_VARIABLES = ("SLURM_", "SBATCH_", "SRUN_")


def call(
    command: list[str], timeout_s: float = COMMAND_TIMEOUT_S, input_text: str = ""
) -> "subprocess.CompletedProcess[str]":
    """Run one of Slurm's commands, free of what an enclosing job has set, with `input_text` as its standard input.

    Raises:
        DeploymentError: the command is not there or does not answer.
    """
    try:
        return subprocess.run(
            command,
            env=clean_environment(),
            input=input_text,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
    except FileNotFoundError:
        raise DeploymentError(f"{command[0]} is not on PATH: is this a login node of the cluster?") from None
    except subprocess.TimeoutExpired:
        raise DeploymentError(f"{command[0]} did not answer within {timeout_s:.0f} s") from None


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
