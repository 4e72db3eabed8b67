"""Brings the results of a run into files of other tools and into trackers, one format at a time."""

from pathlib import Path

from snakeval.system.checkout import ENVS

# Formats that a program in an environment of its own makes; the others are text, which needs none.
ENVIRONMENTS = {"parquet": "export-parquet", "mlflow": "export-mlflow", "wandb": "export-wandb"}


def export_lock(format: str) -> Path | None:
    """Return the lock of the environment that an export runs in, None when it needs none."""
    family = ENVIRONMENTS.get(format)
    return ENVS / f"{family}.lock" if family else None
