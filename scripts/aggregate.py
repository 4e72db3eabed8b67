"""Entry of rule aggregate."""

from pathlib import Path

from snakeval.job import Source, job
from snakeval.records import write_lock_file
from snakeval.summary import summarize, write_summary


def main(source: Source, log: Path) -> None:
    """Write the summary tables and the lock file."""
    with job(log, "aggregate"):
        config = source.load()
        write_summary(config, summarize(config))
        write_lock_file(config)


if __name__ == "__main__":
    main(Source(**snakemake.config), Path(snakemake.log[0]))
