"""Entry of rule teardown."""

from pathlib import Path

from snakeval.serving.lifecycle import tear_down
from snakeval.workflow.job import Source, deployment_named, job


def main(source: Source, deployment: str, output: Path, log: Path) -> None:
    """Stop the deployment's server and write its record."""
    with job(log, f"teardown {deployment}"):
        config = source.load()
        tear_down(config, deployment_named(config, deployment), output)


if __name__ == "__main__":
    main(
        Source(**snakemake.config),
        snakemake.wildcards.deployment,
        Path(snakemake.output[0]),
        Path(snakemake.log[0]),
    )
