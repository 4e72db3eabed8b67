"""What is known of a deployment's server: its state file, who may write it, and what the server was given."""

import os
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from secrets import token_urlsafe
from typing import ClassVar

from snakeval.run.paths import ServerPaths
from snakeval.run.record import Moment, Pid, Record, ServerId

CLAIM_STALE_S = 60.0
KEY_VARIABLE = "SNAKEVAL_API_KEY"


class ServerState(StrEnum):
    """The life of a server."""

    PENDING = "PENDING"
    STARTING = "STARTING"
    READY = "READY"
    DRAINING = "DRAINING"
    STOPPED = "STOPPED"
    FAILED = "FAILED"

    @property
    def is_over(self) -> bool:
        """Whether no process or job is left that may still become or be ready."""
        return self in (ServerState.STOPPED, ServerState.FAILED)


ANSWERING = (ServerState.READY, ServerState.DRAINING)


def is_in_use(files: ServerPaths) -> bool:
    """Return whether a process uses a server right now."""
    return any(is_fresh(claim) for claim in files.claims.glob("*"))


def is_fresh(claim: Path) -> bool:
    """Return whether the process that keeps a claim has touched it lately."""
    try:
        return time.time() - claim.stat().st_mtime < CLAIM_STALE_S
    except FileNotFoundError:
        return False


@dataclass(frozen=True)
class Server:
    """What is known of a deployment's server right now.

    Attributes:
        state: READY means that its process lives and answered its health path.
        reason: Why it is in this state, for people; None when there is nothing to say.
        server_id: Which start this is; None when there never was one.
        generation: Which process of this start; a restart after a crash counts up.
        host: Host name or address, None before it is known.
        port: Port, None before it is known.
        definition: Hash of the launch script that started it; another hash is another server.
        incarnation: How often a batch system has put the job of this start back into its queue.
        allocation: The Slurm job inside which tasks run beside the server, None where they run elsewhere.
        url: Where it is reached, without the path of the API; None where host and port say it.
        guarded: Whether somebody before it asks clients for its key, whatever it is.
    """

    state: ServerState
    reason: str | None = None
    server_id: str | None = None
    generation: int = 0
    host: str | None = None
    port: int | None = None
    definition: str | None = None
    incarnation: int = 0
    allocation: str | None = None
    url: str | None = None
    guarded: bool = False

    @property
    def lives(self) -> bool:
        """Whether a process or job exists that may still become or be ready."""
        return not self.state.is_over


@dataclass(frozen=True)
class ServerRecord(Record):
    """`state.json`: what backend and supervisor have written of the latest start of a server.

    Attributes:
        state, reason, server_id, definition, generation, incarnation, host, port, url: As in `Server`.
        machine, pid: Where the server runs, and its process.
        starter_pid: The process that started it.
        supervisor_pid, supervisor_start: Its supervisor (start in seconds since the epoch).
        started_at, ready_at, updated_at: Seconds since the epoch.
        restarts: After crashes.
        used_s: Seconds that all incarnations of its job have had, and earlier servers of the session.
        container_runtime, image: What runs its container, and the id of the image.
        job_id, submitted_at: Its Slurm job, and when that was submitted.
        session: The session that submitted it.
        endpoint, min_replicas, named_token: Its Lepton endpoint: name, replicas, the user's own secret with its key.
        alive_at: When its supervisor has seen last that its process lives and listens.
        missing: How often in a row Lepton's list has lacked the endpoint.
        asleep, waking: Whether the endpoint is scaled to zero, and whether it was woken since.
        wanted: Whether a job without a token asks the main process to create the endpoint.
    """

    SPARSE: ClassVar[bool] = True

    state: ServerState
    server_id: ServerId
    reason: str | None = None
    definition: str | None = None
    generation: int = 0
    incarnation: int = 0
    host: str | None = None
    port: int | None = None
    url: str | None = None
    machine: str | None = None
    pid: Pid | None = None
    starter_pid: Pid | None = None
    supervisor_pid: Pid | None = None
    supervisor_start: float | None = None
    started_at: Moment | None = None
    ready_at: Moment | None = None
    updated_at: Moment | None = None
    alive_at: Moment | None = None
    restarts: int | None = None
    used_s: float | None = None
    container_runtime: str | None = None
    image: str | None = None
    job_id: str | None = None
    submitted_at: Moment | None = None
    session: str | None = None
    endpoint: str | None = None
    min_replicas: int | None = None
    named_token: str | None = None
    missing: int = 0
    asleep: bool = False
    waking: bool = False
    wanted: bool = False

    def seen_as(self, state: ServerState, reason: str | None) -> Server:
        """Return the server, in a state that is known better than from the file."""
        return Server(
            state=state,
            reason=reason,
            server_id=self.server_id,
            generation=self.generation,
            incarnation=self.incarnation,
            host=self.host,
            port=self.port,
            definition=self.definition,
            url=self.url,
            guarded=bool(self.url),
        )


def mark_stopped(file: Path) -> None:
    """Write that a server was stopped, unless it has said itself how it ended; safe to call twice."""
    record = ServerRecord.read(file)
    if record is not None and not record.state.is_over:
        replace(record, state=ServerState.STOPPED, reason="stopped", updated_at=time.time()).write(file)


@dataclass(frozen=True)
class Registration:
    """One supervisor's right to `state.json`, safe against a supervisor that a newer one has replaced.

    Attributes:
        file: `server/state.json`.
        server_id: Which start of the server it is.
        incarnation: How often a batch system has begun the job of this start again; 0 elsewhere.
        supervisor_start: When the calling process began, seconds since the epoch.
    """

    file: Path
    server_id: str
    incarnation: int
    supervisor_start: float | None

    def previous(self) -> ServerRecord:
        """Return what is on record of this start of the server, nothing when the record is another start's."""
        record = ServerRecord.read(self.file)
        if record is not None and record.server_id == self.server_id:
            return record
        return ServerRecord(ServerState.STARTING, self.server_id)

    def is_superseded(self) -> bool:
        """Return whether the record belongs to a newer start, or to a newer incarnation of this one."""
        record = ServerRecord.read(self.file)
        if record is None:
            return False
        return record.server_id != self.server_id or record.incarnation > self.incarnation

    def beat(self, alive_at: float) -> None:
        """Register when the server was seen alive (seconds since the epoch); nothing while it does not answer."""
        record = ServerRecord.read(self.file)
        own = record is not None and (record.server_id, record.incarnation) == (self.server_id, self.incarnation)
        if record is not None and own and record.state in ANSWERING:
            replace(record, alive_at=alive_at).write(self.file)

    def write(self, record: ServerRecord) -> None:
        """Register a state; a superseded supervisor writes nothing."""
        if self.is_superseded():
            return
        now = time.time()
        replace(
            record,
            server_id=self.server_id,
            incarnation=self.incarnation,
            machine=socket.gethostname(),
            supervisor_pid=os.getpid(),
            supervisor_start=self.supervisor_start,
            updated_at=now,
            ready_at=now if record.state is ServerState.READY else record.ready_at,
        ).write(self.file)


@dataclass(frozen=True)
class Secrets(Record):
    """`secrets.json`: what a server is given that nobody else may read; removed with it.

    Attributes:
        environment: Variables of the server, its key among them as soon as its supervisor has made one.
        runtime: Variables that are copied where the server runs: name -> name there.
        key_variable: Variable that holds the key wherever it is needed, where the key is the user's own.
        generation: Which process of the server has this key; None where all of them have the same.
    """

    MODE: ClassVar[int] = 0o600
    SPARSE: ClassVar[bool] = True

    environment: Mapping[str, str] = field(repr=False)
    runtime: Mapping[str, str]
    key_variable: str | None = None
    generation: int | None = None

    def renewed(self, generation: int) -> "Secrets":
        """Return them with a key that is new, for one process of the server: what an earlier one was asked with
        opens nothing.
        """
        environment = {**self.environment, KEY_VARIABLE: token_urlsafe(32)}
        return replace(self, environment=environment, generation=generation)

    def key(self, environ: Mapping[str, str]) -> str | None:
        """Return the key; a user's own is in no file, but in the variable of that name wherever it is needed."""
        return self.environment.get(KEY_VARIABLE, environ.get(self.key_variable or ""))


@dataclass(frozen=True)
class Access:
    """How the process of a server is reached that answers right now.

    Attributes:
        server_id, incarnation, generation: Which process it is.
        address: URL without the path of the API.
        key: Its own; None where it asks for none.
    """

    server_id: str
    incarnation: int
    generation: int
    address: str
    key: str | None = field(repr=False)


def present_access(files: ServerPaths, environ: Mapping[str, str]) -> Access | None:
    """Return how a server is reached, None while it does not answer: it starts, waits in a queue, or has ended.

    Address and key are of one and the same process: where record and secrets tell of two, it is just being started.

    Args:
        files: Of the server.
        environ: Where a key is that is the user's own.
    """
    record = ServerRecord.read(files.state)
    if record is None or record.state not in ANSWERING:
        return None
    secrets = Secrets.read(files.secrets)
    if secrets is None or secrets.generation not in (None, record.generation):
        return None
    address = record.url or f"http://{record.host}:{record.port}"
    return Access(record.server_id, record.incarnation, record.generation, address, secrets.key(environ))
