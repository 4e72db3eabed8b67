"""Entry of rule ready."""

from pathlib import Path

from snakeval.evaluation.leases import make_auxiliary_ready, make_ready
from snakeval.run.attempt import Attempt, Stage, evaluation_fingerprint, recorded_attempt
from snakeval.run.paths import RunPaths
from snakeval.workflow.job import Source, deployment_named, job, task_named


def main(
    source: Source, deployment: str, task: str, auxiliary: str | None, attempt: int, last_attempt: int, log: Path
) -> None:
    """Have a server up and write the task's lease: on what it evaluates, or on an auxiliary deployment."""
    title = f"ready {auxiliary} for {deployment}/{task}" if auxiliary else f"ready {deployment}/{task}"
    with job(log, title, attempt) as journal:
        config = source.load()
        what, how = deployment_named(config, deployment), task_named(config, task)
        fingerprint = evaluation_fingerprint(what.fingerprint, how.fingerprint)
        paths = RunPaths(config.folder)
        record = Attempt(Stage.READY, attempt, last_attempt, fingerprint)
        if auxiliary:
            with recorded_attempt(paths.auxiliary(auxiliary, deployment, task).attempt, record):
                served = deployment_named(config, auxiliary)
                make_auxiliary_ready(config, served, deployment, how, attempt, last_attempt, journal.say)
            return
        with recorded_attempt(paths.task(deployment, task).attempt, record):
            make_ready(config, what, how, attempt, last_attempt, journal.say)


if __name__ == "__main__":
    main(
        Source(**snakemake.config),
        snakemake.wildcards.deployment,
        snakemake.wildcards.task,
        snakemake.wildcards.get("auxiliary"),
        snakemake.resources.attempt,
        snakemake.resources.last_attempt,
        Path(snakemake.log[0]),
    )
