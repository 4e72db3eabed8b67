"""The record of an export: what was written, what was sent, and what was missing."""

import hashlib
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from snakeval import __version__
from snakeval.results.exports.measured import Measured, missing
from snakeval.run.paths import RunPaths
from snakeval.system.files import is_newer, read_json

_CHUNK = 1 << 20


def make_record(
    format: str, folder: Path, found: Sequence[Measured], files: Sequence[Path], sent: Sequence[dict[str, Any]]
) -> dict[str, Any]:
    """Return the content of record.json; valid by `schemas/export-record.schema.yaml`.

    Args:
        format: The format or tracker.
        folder: The export's folder; files are named relative to it.
        found: What was exported.
        files: What was written.
        sent: One object per run of a tracker: deployment, task, id, url and action ("created" or "updated").
    """
    return {
        "schema_version": 1,
        "format": format,
        "run": found[0].run,
        "snakeval": __version__,
        "exported_at": datetime.now(tz=UTC).isoformat(timespec="seconds"),
        "results": sum(one.result is not None for one in found),
        "missing": missing(found),
        "files": [
            {"path": str(file.relative_to(folder)), "bytes": file.stat().st_size, "sha256": _digest(file)}
            for file in files
        ],
        "sent": list(sent),
    }


def summary_of(record: dict[str, Any], folder: Path) -> str:
    """Return what was exported, in a few words, e.g. "results/demo/exports/csv/results.csv"."""
    files, sent = record["files"], record["sent"]
    parts = []
    if sent:
        actions = Counter(one["action"] for one in sent)
        parts += [f"{count} runs {action}" for action, count in actions.items()]
        parts.append(next((one["url"] for one in sent if one["url"]), f"in {folder} for `wandb sync`"))
    elif len(files) == 1:
        parts.append(str(folder / files[0]["path"]))
    else:
        parts.append(f"{len(files)} files in {folder}")
    if record["missing"]:
        parts.append(f"{len(record['missing'])} results missing")
    return ", ".join(parts)


def export_line(paths: RunPaths, format: str, results: Sequence[Path]) -> str:
    """Return the line of an export for the end of a run; an export that is older than a result is none."""
    record, folder = paths.export_record(format), paths.export(format)
    content = read_json(record) if is_newer(record, results) else None
    if content:
        return f"  {format:<9} {summary_of(content, folder)}"
    log = folder / "log.txt"
    # An old log would speak of another time.
    reason = f"failed, log: {log}" if is_newer(log, results) else "not made, results are missing"
    return f"  {format:<9} {reason}"


def _digest(file: Path) -> str:
    digest = hashlib.sha256()
    with file.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
