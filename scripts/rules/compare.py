"""Entry of rule compare."""

from pathlib import Path

from snakeval.results.compare.comparison import write_comparison
from snakeval.workflow.job import Source, comparison_named, job


def main(source: Source, name: str, json_path: Path, markdown_path: Path, log: Path) -> None:
    """Compare two deployments and write the outcome; a gate's verdict is a part of it, never a failure of this rule."""
    with job(log, f"compare {name}") as journal:
        config = source.load()
        content = write_comparison(config, comparison_named(config, name), json_path, markdown_path)
        counts = [f"{count} {verdict}" for verdict, count in content.counts.items() if count]
        journal.say(", ".join(counts))


if __name__ == "__main__":
    main(
        Source(**snakemake.config),
        snakemake.wildcards.comparison,
        Path(snakemake.output.json),
        Path(snakemake.output.md),
        Path(snakemake.log[0]),
    )
