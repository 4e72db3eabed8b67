"""The contract of a backend: where servers run."""

from dataclasses import dataclass
from typing import Protocol

from snakeval.config.model import Deployment
from snakeval.run.server import Server


@dataclass(frozen=True)
class Leftover:
    """One thing that still exists.

    Attributes:
        kind: "server", "endpoint", "job" or "secret".
        name: What it is called where it lives.
        state: Its state there, in that place's own word.
    """

    kind: str
    name: str
    state: str

    def __str__(self) -> str:
        return f"{self.kind:8}  {self.name}  {self.state}".rstrip()


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
