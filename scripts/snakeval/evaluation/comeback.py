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
    _target: Target | None = field(default=None, init=False)

    def begin(self, endpoint: Endpoint) -> None:
        """Tell the gateway where the server answers now."""
        self._tell(Target(endpoint.base_url, endpoint.api_key, _generation(self.server)))

    def check(self) -> None:
        """Look at the server.

        Raises:
            ServerComesBack: It took with it what ran beside it.
            EndpointError, DeploymentError: It has ended for good.
        """
        now = self.backend.state(self.deployment.name)
        if now.state in (ServerState.READY, ServerState.DRAINING):
            if self._waits or _identity(now) != _identity(self.server):
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
            raise death(self.backend, self.deployment.name, cause)
        return cause

    def _follow(self, now: Server) -> None:
        """Send what comes next to the server as it is now, unless it ends this very moment."""
        try:
            endpoint = server_endpoint(self.config, self.deployment, now)
        except EndpointError as error:
            self._wait(str(error))
        else:
            self._aim(now, endpoint)

    @property
    def _waits(self) -> bool:
        return self._target is not None and self._target.waiting_for is not None

    def _wait(self, why: str) -> None:
        if self._target is not None and why != self._target.waiting_for:
            self.say(f"{why}; requests wait for it")
            self._tell(replace(self._target, waiting_for=why))

    def _aim(self, server: Server, endpoint: Endpoint) -> None:
        self.say(f"the server of {self.deployment.name} is back")
        self.server = server
        self._tell(Target(endpoint.base_url, endpoint.api_key, _generation(server)))

    def _tell(self, target: Target) -> None:
        self._target = target
        target.write(self.files.target)


def death(backend: Backend, deployment: str, cause: str | None) -> EndpointError:
    """Return what to say of a server that is gone for good while a task needs it."""
    return EndpointError(
        f"the server of {deployment} died while the task ran ({cause}); "
        f"the end of its log:\n{backend.log_tail(deployment)}"
    )


def _generation(server: Server) -> str:
    """Return which start of which server answers."""
    return f"{server.server_id}.{server.incarnation}.{server.generation}"


def _identity(server: Server) -> tuple[object, ...]:
    return server.server_id, server.incarnation, server.generation, server.host, server.port, server.url


def _job(server: Server) -> tuple[object, ...]:
    return server.server_id, server.incarnation
