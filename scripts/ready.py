"""Entry of rule ready."""

from pathlib import Path

from snakeval.attempts import Attempt, Stage, evaluation_fingerprint, recorded_attempt
from snakeval.job import Source, deployment_named, job, task_named
from snakeval.paths import RunPaths
from snakeval.serving import make_ready


def main(source: Source, deployment: str, task: str, attempt: int, last_attempt: int, log: Path) -> None:
    """Have the server up and write the task's lease."""
    with job(log, f"ready {deployment}/{task}", attempt) as journal:
        config = source.load()
        what, how = deployment_named(config, deployment), task_named(config, task)
        fingerprint = evaluation_fingerprint(what.fingerprint, how.fingerprint)
        files = RunPaths(config.execution.output_dir / config.run).task(deployment, task)
        with recorded_attempt(files.attempt, Attempt(Stage.READY, attempt, last_attempt, fingerprint)):
            make_ready(config, what, how, attempt, last_attempt, journal.say)


if __name__ == "__main__":
    main(
        Source(**snakemake.config),
        snakemake.wildcards.deployment,
        snakemake.wildcards.task,
        snakemake.resources.attempt,
        snakemake.resources.last_attempt,
        Path(snakemake.log[0]),
    )
