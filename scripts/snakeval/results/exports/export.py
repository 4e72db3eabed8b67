"""Rule export: chooses who writes a format, replaces what an earlier export left, and records what came out."""

import shutil
import tempfile
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import IO

from snakeval.config.model import Config, Export
from snakeval.results.exports import is_tracker
from snakeval.results.exports.programs import program_of
from snakeval.results.exports.record import make_record
from snakeval.results.exports.request import Sent
from snakeval.results.measured import collect
from snakeval.run.paths import RunPaths


def write_export(config: Config, export: Export, record: Path, log: IO[str]) -> str:
    """Export the results of a run, and return in a few words what was exported; safe to call again.

    Args:
        config: The run.
        export: The format or tracker.
        record: Written last, beside the files of the format.
        log: Open log of the job, for what other programs print.

    Raises:
        ExtensionError: nothing writes this format.
        ExportError: it could not be done; an earlier export of a format is then still there, without a record.
    """
    program, tracked = program_of(export.format), is_tracker(export.format)
    found, folder = collect(config), record.parent
    kept = (record, RunPaths(config.folder).export_log(export.format))
    sent: Sequence[Sent] = ()
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".new-") as name:
        new = Path(name)
        if not tracked:
            program(found, new, log)
        _replace(folder, new, kept)
    if tracked:
        # What a tracker keeps for later names its own place.
        sent = program(export, found, folder, log)
    files = sorted(path for path in folder.rglob("*") if path.is_file() and not path.is_symlink() and path not in kept)
    content = make_record(export.format, folder, found, files, sent)
    content.write(record)
    return content.summary(folder)


def _replace(folder: Path, new: Path, kept: Collection[Path]) -> None:
    """Put what is in `new` in the place of what an earlier export has left in `folder`."""
    for old in folder.iterdir():
        if old == new or old in kept:
            continue
        if old.is_dir():
            shutil.rmtree(old)
        else:
            old.unlink()
    for path in new.iterdir():
        path.rename(folder / path.name)
