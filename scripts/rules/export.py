"""Entry of rule export."""

from pathlib import Path

from snakeval.results.exports.export import write_export
from snakeval.workflow.job import Source, export_named, job


def main(source: Source, format: str, record: Path, attempt: int, log: Path) -> None:
    """Export the results in one format; the record is there only when all of it went well."""
    with job(log, f"export {format}", attempt) as journal:
        config = source.load()
        journal.say(write_export(config, export_named(config, format), record, journal.stream))


if __name__ == "__main__":
    main(
        Source(**snakemake.config),
        snakemake.wildcards.format,
        Path(snakemake.output.record),
        snakemake.resources.attempt,
        Path(snakemake.log[0]),
    )
