"""Results and samples as Parquet, which pandas, DuckDB, Polars and Spark read."""

from collections.abc import Sequence
from pathlib import Path
from typing import IO

from snakeval.results.exports.request import ParquetRequest, SamplesFile
from snakeval.results.exports.runner import run_exporter
from snakeval.results.measured import Measured, scored
from snakeval.results.rows import COLUMNS, column_types, rows_of


def write_parquet(measured: Sequence[Measured], folder: Path, log: IO[str]) -> None:
    """Write results.parquet, rows as in results.csv, and samples.parquet."""
    request = ParquetRequest(
        folder=str(folder.resolve()),
        columns={name: kind.__name__ for name, kind in column_types().items()},
        rows=[row.cells(COLUMNS) for row in rows_of(measured)],
        entries=[
            SamplesFile(
                run=one.run,
                deployment=one.deployment.name,
                task=one.task.name,
                samples=str(one.files.samples.resolve()),
            )
            for one in scored(measured)
            if one.files.samples.exists()
        ],
    )
    run_exporter("parquet", request, log)
