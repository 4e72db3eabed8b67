"""The contract of a backend: where servers run. `Backend` is what each must have; the other parts are optional."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from snakeval.config.model import Config, Deployment
from snakeval.endpoint import Endpoint
from snakeval.endpoint import Protocol as RequestKind
from snakeval.errors import Problem
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
    """Six verbs over a small record, which lies in the deployment's server folder; all are safe to call twice."""

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


class Leftovers(Protocol):
    """Finds and deletes what a run leaves behind where servers are more than their processes."""

    def find(self, state_dir: Path) -> list[Leftover]:
        """Return what is there; deletes nothing.

        Args:
            state_dir: Snakemake's own folder, `.snakemake` of the working directory.

        Raises:
            DeploymentError: where it would be cannot be asked.
        """

    def delete(self, leftovers: list[Leftover]) -> None:
        """Delete what `find` has returned; what is gone already is fine.

        Raises:
            DeploymentError: with all that could not be deleted.
        """


class Beside(Protocol):
    """A place beside a server, in the resources that it was given (`Server.allocation`)."""

    @property
    def place(self) -> tuple[str, ...]:
        """The options of the container runtime that lead there, for a runtime that belongs to the batch system."""

    def command(self, argv: Sequence[str]) -> list[str]:
        """Return the command that runs `argv` there, with our environment, working directory and output."""

    def check(self, endpoint: Endpoint, protocol: RequestKind, checks_api_key: bool, timeout_s: float) -> None:
        """Do what `serving.probe.check_endpoint` does, from there: nobody else reaches the server's loopback.

        Raises:
            EndpointError: as `check_endpoint`, or nothing can be started there.
        """

    def end(self) -> None:
        """End what still runs there; safe to call twice."""


def problems_contract(config: Config) -> list[Problem]:
    """Return what keeps a backend from working, every finding at once; reads, and creates nothing."""
    return []
