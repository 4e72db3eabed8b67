"""Entry of rule ready."""

from pathlib import Path

from snakeval.job import Source, deployment_named, job, task_named
from snakeval.serving import make_ready


def main(source: Source, deployment: str, task: str, attempt: int, last_attempt: int, log: Path) -> None:
    """Have the server up and write the task's lease."""
    with job(log, f"ready {deployment}/{task}", attempt) as journal:
        config = source.load()
        found = deployment_named(config, deployment)
        make_ready(config, found, task_named(config, task), attempt, last_attempt, journal.say)


if __name__ == "__main__":
    main(
        Source(**snakemake.config),
        snakemake.wildcards.deployment,
        snakemake.wildcards.task,
        snakemake.resources.attempt,
        snakemake.resources.last_attempt,
        Path(snakemake.log[0]),
    )
