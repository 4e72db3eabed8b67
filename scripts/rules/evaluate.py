"""Entry of rule evaluate."""

from pathlib import Path

from snakeval.evaluation.evaluate import evaluate
from snakeval.run.attempt import Attempt, Stage, evaluation_fingerprint, recorded_attempt
from snakeval.run.lease import Lease
from snakeval.run.paths import RunPaths
from snakeval.workflow.job import Source, deployment_named, job, task_named


def main(source: Source, deployment: str, task: str, lease_file: Path, attempt: int, log: Path) -> None:
    """Run one task."""
    with job(log, f"{deployment}/{task}", attempt) as journal:
        config = source.load()
        what, how = deployment_named(config, deployment), task_named(config, task)
        paths = RunPaths(config.folder)
        lease = Lease.read(lease_file)
        last_attempt = lease.last_attempt if lease else attempt
        fingerprint = evaluation_fingerprint(what.fingerprint, how.fingerprint)
        record = Attempt(Stage.EVALUATE, attempt, last_attempt, fingerprint)
        with recorded_attempt(paths.task(deployment, task).attempt, record) as writer:
            evaluate(config, what, how, attempt, journal.stream, journal.say, writer.count)


if __name__ == "__main__":
    main(
        Source(**snakemake.config),
        snakemake.wildcards.deployment,
        snakemake.wildcards.task,
        Path(snakemake.input.lease),
        snakemake.resources.attempt,
        Path(snakemake.log[0]),
    )
