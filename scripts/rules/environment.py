"""Entry of rule environment."""

from pathlib import Path

from snakeval.system.checkout import ENVS
from snakeval.system.environments import ensure_environment
from snakeval.workflow.job import job


def main(family: str, log: Path) -> None:
    """Build the environment of one tool family."""
    with job(log, f"environment {family}"):
        ensure_environment(ENVS / f"{family}.lock", log)


if __name__ == "__main__":
    main(
        snakemake.wildcards.environment.rpartition("-")[0],
        Path(snakemake.log[0]),
    )
