"""What is known of a deployment's server."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Self


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
