"""A backend without processes, for what decides about servers."""

from collections.abc import Callable
from dataclasses import dataclass, field

from snakeval.config.model import Deployment
from snakeval.run.server import Server, ServerState


@dataclass
class FakeBackend:
    """Servers that do what a test says; see `snakeval.backends.Backend`.

    Attributes:
        servers: By the name of the deployment; stopped when it is not there.
        calls: What was asked for, e.g. "start a"; questions about states are not noted.
        started: Makes the server of a deployment that is started.
        log: What every server has written.
    """

    servers: dict[str, Server] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    started: Callable[[], Server] = lambda: Server(ServerState.STARTING, definition="now")
    log: str = "the end of the log"

    def definition(self, deployment: Deployment) -> str:
        """Every server that is started now is the same."""
        return "now"

    def start(self, deployment: Deployment) -> None:
        """Start it."""
        self.calls.append(f"start {deployment.name}")
        self.servers[deployment.name] = self.started()

    def state(self, deployment: str) -> Server:
        """Return its state."""
        return self.servers.get(deployment, Server(ServerState.STOPPED))

    def stop(self, deployment: str) -> None:
        """Stop it."""
        self.calls.append(f"stop {deployment}")
        self.servers[deployment] = Server(ServerState.STOPPED)

    def log_tail(self, deployment: str) -> str:
        """Return the end of its log."""
        return self.log

    def cause(self, deployment: str, known: str | None) -> str | None:
        """Return what is known."""
        return known
