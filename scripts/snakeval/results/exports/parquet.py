"""Results and samples as Parquet, which pandas, DuckDB, Polars and Spark read."""

from collections.abc import Sequence
from pathlib import Path
from typing import IO

from snakeval.results.exports.measured import COLUMNS, Measured, as_rows
from snakeval.results.exports.runner import run_exporter


def write_parquet(found: Sequence[Measured], folder: Path, log: IO[str]) -> None:
    """Write results.parquet, rows as in results.csv, and samples.parquet."""
    request = {
        "folder": str(folder.resolve()),
        "columns": {name: kind.__name__ for name, kind in COLUMNS.items()},
        "rows": as_rows(found),
        "entries": [
            {
                "run": one.run,
                "deployment": one.deployment.name,
                "task": one.task.name,
                "samples": str(one.files.samples.resolve()),
            }
            for one in found
            if one.result is not None and one.files.samples.exists()
        ],
    }
    run_exporter("parquet", request, log)
