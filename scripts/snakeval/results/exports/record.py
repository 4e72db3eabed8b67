"""The record of an export: what was written, what was sent, and what was missing."""

import hashlib
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from snakeval import __version__
from snakeval.results.exports.request import Sent
from snakeval.results.measured import Measured, Missing, missing, scored
from snakeval.run.paths import RunPaths
from snakeval.run.record import Record
from snakeval.system.files import is_newer, write_json
from snakeval.system.times import iso_time


@dataclass(frozen=True)
class WrittenFile:
    """A file of an export, by its path relative to the export's folder."""

    path: str
    bytes: int
    sha256: str


@dataclass(frozen=True, kw_only=True)
class ExportRecord(Record):
    """What record.json holds; `schemas/export-record.schema.yaml` describes every key."""

    format: str
    run: str
    snakeval: str = __version__
    exported_at: str
    results: int
    missing: tuple[Missing, ...]
    files: tuple[WrittenFile, ...]
    sent: tuple[Sent, ...] = ()

    def write(self, path: Path) -> None:
        """Write the record, atomically."""
        write_json(path, {"schema_version": self.SCHEMA, **self._content()})

    def summary(self, folder: Path) -> str:
        """Return what was exported, in a few words, e.g. "results/demo/exports/csv/results.csv"."""
        parts = []
        if self.sent:
            actions = Counter(one.action for one in self.sent)
            parts += [f"{count} runs {action}" for action, count in actions.items()]
            parts.append(next((one.url for one in self.sent if one.url), f"in {folder} for `wandb sync`"))
        elif len(self.files) == 1:
            parts.append(str(folder / self.files[0].path))
        else:
            parts.append(f"{len(self.files)} files in {folder}")
        if self.missing:
            parts.append(f"{len(self.missing)} results missing")
        return ", ".join(parts)


def make_record(
    format: str, folder: Path, measured: Sequence[Measured], files: Sequence[Path], sent: Sequence[Sent]
) -> ExportRecord:
    """Return the record of an export that is done now.

    Args:
        format: The format or tracker.
        folder: The export's folder; files are named relative to it.
        measured: What was exported.
        files: What was written.
        sent: The runs of a tracker.
    """
    return ExportRecord(
        format=format,
        run=measured[0].run,
        exported_at=iso_time(time.time(), "seconds"),
        results=len(scored(measured)),
        missing=tuple(missing(measured)),
        files=tuple(WrittenFile(str(file.relative_to(folder)), file.stat().st_size, _digest(file)) for file in files),
        sent=tuple(sent),
    )


def export_line(paths: RunPaths, format: str, results: Sequence[Path]) -> str:
    """Return the line of an export for the end of a run; an export that is older than a result is none."""
    record, folder = paths.export_record(format), paths.export(format)
    content = ExportRecord.read(record) if is_newer(record, results) else None
    if content is not None:
        return f"  {format:<9} {content.summary(folder)}"
    log = paths.export_log(format)
    # An old log would speak of another time.
    reason = f"failed, log: {log}" if is_newer(log, results) else "not made, results are missing"
    return f"  {format:<9} {reason}"


def _digest(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
