"""Calls the program that exports with a library of its own, in that library's environment."""

import os
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import msgspec

from snakeval.errors import ExportError
from snakeval.harnesses.outcome import describe_status
from snakeval.results.exports import export_lock
from snakeval.results.exports.request import ParquetRequest, Sent, TrackerRequest
from snakeval.system.environments import ensure_environment
from snakeval.system.files import write_json

RUNNERS = Path(__file__).resolve().parent / "runners"
TIMEOUT_S = 600
TIMEOUT_OF_ENTRY_S = 60


def run_exporter(
    format: str,
    request: TrackerRequest | ParquetRequest,
    log: IO[str],
    environ: Mapping[str, str] = os.environ,
) -> list[Sent]:
    """Run an exporter to its end and return what it sent.

    Args:
        format: The format or tracker.
        request: What to export, as JSON, each result one of its `entries`; holds no secret.
        log: Open log, for the exporter's output.
        environ: Variables for the exporter; may hold secrets.

    Raises:
        ExportError: it failed; the message is the library's own.
    """
    lock = export_lock(format)
    if lock is None:
        raise ExportError(f"there is no environment for {format}")
    python = ensure_environment(lock)
    timeout_s = TIMEOUT_S + TIMEOUT_OF_ENTRY_S * len(request.entries)
    with tempfile.TemporaryDirectory(prefix="snakeval-export-") as name:
        file = Path(name) / "request.json"
        write_json(file, {"format": format, **msgspec.to_builtins(request)}, mode=0o600)
        try:
            done = subprocess.run(
                [str(python), "-P", "-m", "export_runner", str(file)],
                cwd=name,
                env={**environ, "PYTHONPATH": str(RUNNERS), "PYTHONUNBUFFERED": "1", "PYTHONUTF8": "1"},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                timeout=timeout_s,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise ExportError(f"it was not done within {timeout_s} s") from None
        outcome = _outcome(file.with_name("outcome.json"))
    if done.returncode != 0 or outcome.sent is None:
        raise ExportError(outcome.error or f"the exporter {describe_status(done.returncode)}; its log says more")
    return outcome.sent


@dataclass(frozen=True)
class _Outcome:
    """What an exporter leaves: what it sent, or why it failed."""

    sent: list[Sent] | None = None
    error: str | None = None


def _outcome(path: Path) -> _Outcome:
    try:
        return msgspec.json.decode(path.read_bytes(), type=_Outcome)
    except (FileNotFoundError, msgspec.MsgspecError):
        return _Outcome()
