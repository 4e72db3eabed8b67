"""Where servers run. A backend is one module with four verbs over a small record; all are safe to call twice."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol, Self

from snakeval.config.model import Config, Deployment
from snakeval.errors import Problem


class ServerState(StrEnum):
    """The life of a server."""

    PENDING = "PENDING"
    STARTING = "STARTING"
    READY = "READY"
    DRAINING = "DRAINING"
    STOPPED = "STOPPED"
    FAILED = "FAILED"


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

    @classmethod
    def of_record(cls, record: Mapping[str, Any], state: ServerState, reason: str | None) -> Self:
        """Return what the server's state file says, in a state that is known better than from the file."""
        return cls(
            state=state,
            reason=reason,
            server_id=record["server_id"],
            generation=record["generation"],
            incarnation=int(record.get("incarnation") or 0),
            host=record.get("host"),
            port=record.get("port"),
            definition=record["definition"],
            url=record.get("url"),
            guarded=bool(record.get("url")),
        )

    @property
    def lives(self) -> bool:
        """Whether a process or job exists that may still become or be ready."""
        return self.state not in (ServerState.STOPPED, ServerState.FAILED)


class Backend(Protocol):
    """The four verbs. `deployment` names the record: everything is kept in the deployment's server folder."""

    def definition(self, deployment: Deployment) -> str:
        """Return the hash that a server started now would have as its `definition`."""

    def start(self, deployment: Deployment) -> None:
        """Start the server and return at once; what happens next is told by `state`.

        Raises:
            DeploymentError: it could not be started at all.
        """

    def state(self, deployment: str) -> Server:
        """Return the state of the server; never raises because it is gone."""

    def stop(self, deployment: str) -> None:
        """End the server and everything that belongs to it, and remove its secrets; returns when it is gone."""

    def log_tail(self, deployment: str) -> str:
        """Return the last lines of the server's output."""

    def cause(self, deployment: str, known: str | None) -> str | None:
        """Return why a server has ended that no longer lives.

        The batch system knows whether it was its doing, which the server itself cannot tell, and may take some seconds
        to say so.

        Args:
            deployment: Its name.
            known: The reason that `state` gave.
        """


class Attendant(Protocol):
    """What the main process does for a backend as long as the run lasts."""

    def begin(self) -> None:
        """Begin, in a thread."""

    def end(self) -> None:
        """End; safe to call twice, and without `begin`."""


def backend_problems(config: Config) -> list[Problem]:
    """Return what keeps the backend of `execution.type` from working, as far as it can be asked; creates nothing."""
    if config.execution.type != "lepton":
        return []
    from snakeval.backends.lepton_preflight import lepton_problems

    return lepton_problems(config)


def attendant_of(config: Config) -> Attendant | None:
    """Return the attendant of `execution.type`, None where servers need none."""
    if config.execution.type != "lepton":
        return None
    from snakeval.backends.lepton_keeper import Keeper

    return Keeper(config)


def backend_of(config: Config) -> Backend:
    """Return the backend of `execution.type`."""
    if config.execution.type == "local":
        from snakeval.backends.local import LocalBackend

        return LocalBackend(config)
    if config.execution.type == "slurm":
        from snakeval.backends.slurm import SlurmBackend

        return SlurmBackend(config)
    if config.execution.type == "lepton":
        from snakeval.backends.lepton import LeptonBackend

        return LeptonBackend(config)
    raise ValueError(f"no backend named {config.execution.type}")
