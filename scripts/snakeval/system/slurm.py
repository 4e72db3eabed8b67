"""Calls Slurm's commands."""

import subprocess

from snakeval.errors import DeploymentError
from snakeval.system.environ import clean_environment

COMMAND_TIMEOUT_S = 60


def call(
    command: list[str], timeout_s: float = COMMAND_TIMEOUT_S, given: str = ""
) -> "subprocess.CompletedProcess[str]":
    """Run one of Slurm's commands, free of what an enclosing job has set, with `given` as its standard input.

    Raises:
        DeploymentError: the command is not there or does not answer.
    """
    try:
        return subprocess.run(
            command,
            env=clean_environment(),
            input=given,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
    except FileNotFoundError:
        raise DeploymentError(f"{command[0]} is not on PATH: is this a login node of the cluster?") from None
    except subprocess.TimeoutExpired:
        raise DeploymentError(f"{command[0]} did not answer within {timeout_s:.0f} s") from None
