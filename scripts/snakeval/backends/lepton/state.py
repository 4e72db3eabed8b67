"""What an endpoint's state means for its server: a pure join of our record with what Lepton says."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from snakemake_executor_plugin_lepton.model import EndpointRow, Issue, Termination

from snakeval.run.server import ServerRecord, ServerState

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


def joined(record: ServerRecord, seen: Seen, max_restarts: int) -> ServerRecord:
    """Return the record of a server that has neither stopped nor failed as it is now.

    Args:
        record: As it was.
        seen: What Lepton says.
        max_restarts: Ends of a server that had been ready before it counts as failed.
    """
    row = seen.row
    if row is None or row.state == "Deleting":
        absent = replace(record, missing=record.missing + 1)
        gone = absent.missing >= MISSING_LIMIT or row is not None
        return _failed(absent, f"its Lepton endpoint {record.endpoint} does not exist any more") if gone else absent
    found = replace(record, missing=0, url=row.url or record.url, asleep=row.phase in ASLEEP)
    if found.asleep:
        return replace(found, state=ServerState.PENDING, reason="scaled to zero")
    if row.state == "Ready" and row.url:
        # A server that comes back after it was ready is another process now.
        again = bool(record.ready_at) and record.state is not ServerState.READY
        generation = record.generation + (1 if again or not record.generation else 0)
        return replace(found, state=ServerState.READY, reason=None, generation=generation)
    return _not_ready(found, row, seen, max_restarts)


def _not_ready(record: ServerRecord, row: EndpointRow, seen: Seen, max_restarts: int) -> ServerRecord:
    issue, was_ready = seen.issue, bool(record.ready_at)
    ends = len(seen.terminations)
    if issue is not None and issue.reason in HOPELESS:
        hint = " (check the image's name and execution.image_pull_secrets)" if "mage" in str(issue) else ""
        return _failed(record, f"its Lepton endpoint cannot start: {issue}{hint}")
    crashed = ends > 0 or (issue is not None and issue.reason in CRASHED)
    if crashed and (not was_ready or ends > max_restarts):
        how = f"exit code {seen.terminations[-1].exit_code}" if ends else str(issue)
        times = f"{ends} times" if ends > 1 else "before it was ready"
        return _failed(record, f"the server has ended {times} ({how})")
    if row.state == "Error":
        return _failed(record, f"its Lepton endpoint is in state Error{f': {issue}' if issue else ''}")
    if issue is not None and issue.reason in NO_ROOM:
        return replace(record, state=ServerState.PENDING, reason=str(issue), restarts=ends)
    return replace(record, state=ServerState.STARTING, reason=str(issue) if issue else row.state, restarts=ends)


def _failed(record: ServerRecord, reason: str) -> ServerRecord:
    return replace(record, state=ServerState.FAILED, reason=reason)
