"""A run's status as JSON; `schemas/status.schema.yaml` describes it."""

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from snakeval.commands.status.model import RunStatus

SCHEMA_VERSION = 1


def status_document(status: RunStatus) -> dict[str, Any]:
    """Return the content of `snakeval status --json`."""
    session = status.session
    return {
        "schema_version": SCHEMA_VERSION,
        "run": status.run,
        "folder": status.folder,
        "at": _iso(status.at),
        "snakemake": {
            "state": status.session_state,
            "machine": session.machine if session else None,
            "pid": session.pid if session else None,
            "directory": session.directory if session else None,
            "began_at": _iso(session.began_at) if session else None,
            "ended_at": _iso(session.ended_at) if session and session.ended_at else None,
        },
        "counts": {str(state): count for state, count in status.counts.items()},
        "servers": [_rounded(asdict(server)) for server in status.servers],
        "tasks": [_rounded(asdict(task)) for task in status.tasks],
    }


def _rounded(record: dict[str, Any]) -> dict[str, Any]:
    return {name: round(value, 3) if isinstance(value, float) else value for name, value in record.items()}


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, tz=UTC).isoformat(timespec="milliseconds")
