"""A run's status as JSON; `schemas/status.schema.yaml` describes it."""

from collections.abc import Mapping
from typing import TypedDict

from snakeval.commands.status.model import RunStatus, ServerStatus, TaskStatus
from snakeval.system.times import iso_time

SCHEMA_VERSION = 1


class SnakemakeEntry(TypedDict):
    """The Snakemake that works on the run, or did; None where there never was one."""

    state: str
    machine: str | None
    pid: int | None
    directory: str | None
    began_at: str | None
    ended_at: str | None


class ServerEntry(TypedDict):
    """As `ServerStatus`."""

    deployment: str
    type: str
    state: str | None
    address: str | None
    age_s: float | None
    restarts: int | None
    reason: str | None
    log: str | None


class TaskEntry(TypedDict):
    """As `TaskStatus`."""

    deployment: str
    task: str
    state: str
    done: int | None
    total: int | None
    rate_per_s: float | None
    remaining_s: float | None
    attempt: int | None
    last_attempt: int | None
    reason: str | None
    log: str | None


class StatusDocument(TypedDict):
    """What `snakeval status --json` prints."""

    schema_version: int
    run: str
    folder: str
    at: str
    snakemake: SnakemakeEntry
    counts: Mapping[str, int]
    servers: list[ServerEntry]
    tasks: list[TaskEntry]


def status_document(status: RunStatus) -> StatusDocument:
    """Return the content of `snakeval status --json`."""
    session = status.session
    return StatusDocument(
        schema_version=SCHEMA_VERSION,
        run=status.run,
        folder=status.folder,
        at=iso_time(status.at),
        snakemake=SnakemakeEntry(
            state=status.session_state,
            machine=session.machine if session else None,
            pid=session.pid if session else None,
            directory=session.directory if session else None,
            began_at=iso_time(session.began_at) if session else None,
            ended_at=iso_time(session.ended_at) if session and session.ended_at else None,
        ),
        counts={str(state): count for state, count in status.counts.items()},
        servers=[_server(server) for server in status.servers],
        tasks=[_task(task) for task in status.tasks],
    )


def _server(server: ServerStatus) -> ServerEntry:
    return ServerEntry(
        deployment=server.deployment,
        type=server.type,
        state=server.state,
        address=server.address,
        age_s=_rounded(server.age_s),
        restarts=server.restarts,
        reason=server.reason,
        log=server.log,
    )


def _task(task: TaskStatus) -> TaskEntry:
    return TaskEntry(
        deployment=task.deployment,
        task=task.task,
        state=task.state,
        done=task.done,
        total=task.total,
        rate_per_s=_rounded(task.rate_per_s),
        remaining_s=_rounded(task.remaining_s),
        attempt=task.attempt,
        last_attempt=task.last_attempt,
        reason=task.reason,
        log=task.log,
    )


def _rounded(value: float | None) -> float | None:
    return round(value, 3) if isinstance(value, float) else value
