"""Entry of rule gate."""

from pathlib import Path

from snakeval.errors import SnakevalError
from snakeval.results.compare.gate import check_gate
from snakeval.results.compare.record import ComparisonRecord
from snakeval.system.files import write_text
from snakeval.workflow.job import job


def main(name: str, comparison: Path, passed: Path, log: Path) -> None:
    """Leave `passed` behind when the policy lets the comparison pass, end with status 1 when it does not."""
    with job(log, f"gate {name}") as journal:
        found = ComparisonRecord.read(comparison)
        if found is None:
            raise SnakevalError(f"there is no comparison in {comparison}")
        words = check_gate(found.gate, found.tasks)
        journal.say(words)
        write_text(passed, f"{words}\n")


if __name__ == "__main__":
    main(
        snakemake.wildcards.comparison,
        Path(snakemake.input.comparison),
        Path(snakemake.output.passed),
        Path(snakemake.log[0]),
    )
