"""Entry of rule gate."""

import json
from pathlib import Path

from snakeval.results.compare.gate import check_gate
from snakeval.system.files import write_text
from snakeval.workflow.job import job


def main(name: str, comparison: Path, passed: Path, log: Path) -> None:
    """Leave `passed` behind when the policy lets the comparison pass, end with status 1 when it does not."""
    with job(log, f"gate {name}") as journal:
        content = json.loads(comparison.read_text(encoding="utf-8"))
        words = check_gate(content)
        journal.say(words)
        write_text(passed, f"{words}\n")


if __name__ == "__main__":
    main(
        snakemake.wildcards.comparison,
        Path(snakemake.input.comparison),
        Path(snakemake.output.passed),
        Path(snakemake.log[0]),
    )
