"""Entry of rule report."""

from collections.abc import Sequence
from pathlib import Path

from snakeval.workflow.job import Source, job


def main(source: Source, comparisons: Sequence[Path], page: Path, log: Path) -> None:
    """Write the run as one page."""
    # Slow to import, and of no use to any other job.
    from snakeval.results.report.page import write_report

    with job(log, "report") as journal:
        report = write_report(source.load(), comparisons, page)
        journal.say(f"{len(report.results)} results, {len(report.failures)} missing: {page}")


if __name__ == "__main__":
    main(
        Source(**snakemake.config),
        [Path(one) for one in snakemake.input.comparisons],
        Path(snakemake.output.page),
        Path(snakemake.log[0]),
    )
