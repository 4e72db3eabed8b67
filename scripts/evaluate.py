"""Entry of rule evaluate."""

from pathlib import Path

from snakeval.errors import SnakevalError
from snakeval.evaluation import evaluate
from snakeval.files import read_json
from snakeval.job import Source, deployment_named, job, task_named


def main(source: Source, deployment: str, task: str, lease: Path, attempt: int, log: Path) -> None:
    """Run one task; give up its lease when the last attempt has failed, so that others may have the server's place."""
    with job(log, f"{deployment}/{task}", attempt) as journal:
        config = source.load()
        try:
            evaluate(
                config,
                deployment_named(config, deployment),
                task_named(config, task),
                attempt,
                journal.stream,
                journal.say,
            )
        except SnakevalError:
            if attempt >= (read_json(lease) or {}).get("last_attempt", attempt):
                lease.unlink(missing_ok=True)
            raise


if __name__ == "__main__":
    main(
        Source(**snakemake.config),
        snakemake.wildcards.deployment,
        snakemake.wildcards.task,
        Path(snakemake.input.lease),
        snakemake.resources.attempt,
        Path(snakemake.log[0]),
    )
