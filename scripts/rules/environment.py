"""Entry of rule environment."""

from pathlib import Path

from snakeval.system.environments import ensure_environment
from snakeval.workflow.job import job


def main(family: str, workflow_dir: str, log: Path) -> None:
    """Build the environment of one tool family."""
    with job(log, f"environment {family}"):
        ensure_environment(Path(workflow_dir) / "envs" / f"{family}.lock", log)


if __name__ == "__main__":
    main(
        snakemake.wildcards.environment.rpartition("-")[0],
        snakemake.config["workflow_dir"],
        Path(snakemake.log[0]),
    )
