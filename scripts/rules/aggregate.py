"""Entry of rule aggregate."""

from pathlib import Path

from snakeval.results.lock_file import write_lock_file
from snakeval.results.summary import summarize, write_summary
from snakeval.workflow.job import Source, job


def main(source: Source, log: Path) -> None:
    """Write the summary tables and the lock file."""
    with job(log, "aggregate"):
        config = source.load()
        write_summary(config, summarize(config))
        write_lock_file(config)


if __name__ == "__main__":
    main(Source(**snakemake.config), Path(snakemake.log[0]))
