"""What an endpoint's state means for its server: a pure join of our record with what Lepton says."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from snakemake_executor_plugin_lepton.model import EndpointRow, Issue, Termination

from snakeval.run.server import ServerState

# A list of endpoints may be a moment behind.
MISSING_LIMIT = 3
ASLEEP = ("Stopped", "Stopping")
# Reasons of replicas (leptonai's main branch, types/readiness.py).
NO_ROOM = ("NoCapacity", "WaitingForCapacity", "Queueing", "NodeNotReady", "Preempting")
HOPELESS = ("Failed", "ConfigError", "DeploymentConfigError")
CRASHED = ("SystemError", "UserCodeError", "Terminated")


@dataclass(frozen=True)
class Seen:
    """What Lepton says of one endpoint; `row` is None when it is not in the list.

    Attributes:
        row: Its line in the list.
        issue: Why it is not ready; only asked for while it is not.
        terminations: How its process has ended so far; asked for while it is not ready; the newer API does not tell.
    """

    row: EndpointRow | None
    issue: Issue | None = None
    terminations: Sequence[Termination] = ()


def joined(record: Mapping[str, Any], seen: Seen, max_restarts: int) -> dict[str, Any]:
    """Return what changes in the record of a server that has neither stopped nor failed.

    Args:
        record: The state file.
        seen: What Lepton says.
        max_restarts: Ends of a server that had been ready before it counts as failed.
    """
    row, name = seen.row, record["endpoint"]
    if row is None or row.state == "Deleting":
        missing = int(record.get("missing") or 0) + 1
        gone = missing >= MISSING_LIMIT or row is not None
        return {"missing": missing} | (_failed(f"its Lepton endpoint {name} does not exist any more") if gone else {})
    found: dict[str, Any] = {"missing": 0, "url": row.url or record.get("url")}
    if row.phase in ASLEEP:
        return found | {"state": ServerState.PENDING, "reason": "scaled to zero", "asleep": True}
    found["asleep"] = False
    if row.state == "Ready" and row.url:
        # A server that comes back after it was ready is another process now.
        again = bool(record.get("ready_at")) and record["state"] != ServerState.READY
        return found | {
            "state": ServerState.READY,
            "reason": None,
            "generation": int(record["generation"]) + (1 if again or not record["generation"] else 0),
        }
    return found | _not_ready(record, seen, max_restarts)


def _not_ready(record: Mapping[str, Any], seen: Seen, max_restarts: int) -> dict[str, Any]:
    assert seen.row is not None
    issue, was_ready = seen.issue, bool(record.get("ready_at"))
    ends = len(seen.terminations)
    if issue is not None and issue.reason in HOPELESS:
        hint = " (check the image's name and execution.image_pull_secrets)" if "mage" in str(issue) else ""
        return _failed(f"its Lepton endpoint cannot start: {issue}{hint}")
    crashed = ends > 0 or (issue is not None and issue.reason in CRASHED)
    if crashed and (not was_ready or ends > max_restarts):
        how = f"exit code {seen.terminations[-1].exit_code}" if ends else str(issue)
        times = f"{ends} times" if ends > 1 else "before it was ready"
        return _failed(f"the server has ended {times} ({how})")
    if seen.row.state == "Error":
        return _failed(f"its Lepton endpoint is in state Error{f': {issue}' if issue else ''}")
    if issue is not None and issue.reason in NO_ROOM:
        return {"state": ServerState.PENDING, "reason": str(issue), "restarts": ends}
    return {"state": ServerState.STARTING, "reason": str(issue) if issue else seen.row.state, "restarts": ends}


def _failed(reason: str) -> dict[str, Any]:
    return {"state": ServerState.FAILED, "reason": reason}
