"""A server that comes back is no failure: the gateway waits for it, and the harness notices nothing but time."""

from dataclasses import dataclass, field, replace

from snakeval.backends.base import Backend
from snakeval.config.model import Config, Deployment, Task
from snakeval.deployments.endpoint import server_endpoint
from snakeval.endpoint import Endpoint
from snakeval.errors import EndpointError
from snakeval.run.gateway import Target
from snakeval.run.gateway_paths import GatewayPaths
from snakeval.run.heartbeat import SessionWatch
from snakeval.run.server import Server, ServerState
from snakeval.serving.servers import reach_deployment
from snakeval.system.say import Say


class ServerComesBack(Exception):
    """What ran beside the server has ended with it, and begins anew when it is back: no failure, and no attempt.

    Attributes:
        starts: How often the task has had the server started again.
    """

    def __init__(self, message: str, starts: int = 0) -> None:
        super().__init__(message)
        self.starts = starts


@dataclass
class Comeback:
    """Follows the server of a running task through crashes, queues and restarts, and tells the gateway where it is.

    Attributes:
        config: The run.
        backend: What started the server.
        deployment: What is evaluated.
        task: Who needs it.
        attempt: Of rule evaluate.
        files: Where the gateway looks.
        say: Where it is told that something is waited for.
        session: Knows whether the run still goes on: after its end no server is started.
        server: As it was last seen to answer.
        starts: How often it was started again from here.
    """

    config: Config
    backend: Backend
    deployment: Deployment
    task: Task
    attempt: int
    files: GatewayPaths
    say: Say
    session: SessionWatch
    server: Server
    starts: int = 0
    _waiting: str | None = field(default=None, init=False)

    def begin(self, endpoint: Endpoint) -> None:
        """Tell the gateway where the server answers now."""
        self.files.target.unlink(missing_ok=True)
        self._aim(self.server, endpoint)

    def check(self) -> None:
        """Look at the server.

        Raises:
            ServerComesBack: It took with it what ran beside it.
            EndpointError, DeploymentError: It has ended for good.
        """
        now = self.backend.state(self.deployment.name)
        if now.state in (ServerState.READY, ServerState.DRAINING):
            if self._waiting is not None or _identity(now) != _identity(self.server):
                self._follow(now)
            return
        why = f"was interrupted ({now.reason or now.state.value.lower()})"
        if not now.lives:
            why = f"died while the task ran ({self._cause(now)})"
            self.starts += 1
        if self.server.allocation is not None and (not now.lives or _job(now) != _job(self.server)):
            raise ServerComesBack(f"the server of {self.deployment.name} {why}", self.starts)
        if (ended := self.session.ended()) is not None:
            raise EndpointError(ended)
        self._wait(f"the server of {self.deployment.name} {why}")
        again, endpoint = reach_deployment(self.config, self.deployment, self.task.protocol, self.attempt, self.say)
        assert again is not None
        self._aim(again, endpoint)

    def _cause(self, now: Server) -> str:
        """Return why it has ended; raise EndpointError when it is not to be started again from here."""
        cause = self.backend.cause(self.deployment.name, now.reason) or "it is gone"
        # What was stopped on purpose, by the end of the run for example, stays so.
        if now.state is ServerState.STOPPED or self.starts >= self.config.execution.max_restarts:
            raise EndpointError(
                f"the server of {self.deployment.name} died while the task ran ({cause}); "
                f"the end of its log:\n{self.backend.log_tail(self.deployment.name)}"
            )
        return cause

    def _follow(self, now: Server) -> None:
        """Send what comes next to the server as it is now, unless it ends this very moment."""
        try:
            endpoint = server_endpoint(self.config, self.deployment, now)
        except EndpointError as error:
            self._wait(str(error))
        else:
            self._aim(now, endpoint)

    def _wait(self, why: str) -> None:
        if why != self._waiting:
            self._waiting = why
            self.say(f"{why}; requests wait for it")
            target = Target.read(self.files.target)
            if target is not None:
                replace(target, waiting_for=why).write(self.files.target)

    def _aim(self, server: Server, endpoint: Endpoint) -> None:
        if self.files.target.exists():
            self.say(f"the server of {self.deployment.name} is back")
        self.server, self._waiting = server, None
        Target(endpoint.base_url, endpoint.api_key, generation_of(server)).write(self.files.target)


def generation_of(server: Server) -> str:
    """Return which start of which server answers."""
    return f"{server.server_id}.{server.incarnation}.{server.generation}"


def _identity(server: Server) -> tuple[object, ...]:
    return server.server_id, server.incarnation, server.generation, server.host, server.port, server.url


def _job(server: Server) -> tuple[object, ...]:
    return server.server_id, server.incarnation
