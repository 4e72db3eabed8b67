"""Environment variables that a child process must not inherit."""

import os
from collections.abc import Mapping

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
