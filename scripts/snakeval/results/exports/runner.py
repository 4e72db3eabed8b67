"""Calls the program that exports with a library of its own, in that library's environment."""

import os
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from snakeval.errors import ExportError
from snakeval.harnesses.outcome import describe_status
from snakeval.results.exports import export_lock
from snakeval.system.environments import ensure_environment
from snakeval.system.files import read_json, write_json

RUNNERS = Path(__file__).resolve().parent / "runners"
TIMEOUT_S = 600
TIMEOUT_OF_ENTRY_S = 60


def run_exporter(
    format: str, request: Mapping[str, Any], log: IO[str], environ: Mapping[str, str] = os.environ
) -> list[dict[str, Any]]:
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
    timeout_s = TIMEOUT_S + TIMEOUT_OF_ENTRY_S * len(request["entries"])
    with tempfile.TemporaryDirectory(prefix="snakeval-export-") as name:
        file = Path(name) / "request.json"
        write_json(file, {"format": format, **request}, mode=0o600)
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
        outcome = read_json(file.with_name("outcome.json")) or {}
    if done.returncode != 0 or "sent" not in outcome:
        raise ExportError(outcome.get("error") or f"the exporter {describe_status(done.returncode)}; its log says more")
    return list(outcome["sent"])
