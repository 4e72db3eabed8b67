"""Entry of rule deploy."""

from pathlib import Path

from snakeval.deployments.preflight import check_deployment
from snakeval.serving.lifecycle import write_deployment
from snakeval.workflow.job import Source, deployment_named, job


def main(source: Source, deployment: str, output: Path, log: Path) -> None:
    """Check one deployment and write what is served."""
    with job(log, f"deploy {deployment}"):
        config = source.load()
        found = deployment_named(config, deployment)
        check_deployment(found, config.execution)
        write_deployment(found, output)


if __name__ == "__main__":
    main(
        Source(**snakemake.config),
        snakemake.wildcards.deployment,
        Path(snakemake.output[0]),
        Path(snakemake.log[0]),
    )
