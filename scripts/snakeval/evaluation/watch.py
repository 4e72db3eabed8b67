"""Watches the servers of a running task, and the Snakemake that it runs for."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from snakeval.backends.base import Backend
from snakeval.errors import EndpointError
from snakeval.evaluation.comeback import Comeback, ServerComesBack, death
from snakeval.run.heartbeat import SessionWatch
from snakeval.run.paths import RunPaths
from snakeval.run.server import Server, ServerState
from snakeval.run.session import refuse_stopped
from snakeval.system.caller import refuse_orphaned, snakemake_process

LIVENESS_S = 2.0


@dataclass
class Watch:
    """Notices that a server of the task, or Snakemake itself, is gone; the first server is the evaluated one.

    Attributes:
        backend: What started the servers.
        paths: The run.
        servers: As they were when the harness began.
        session: Notices the end of Snakemake from afar.
        comeback: Waits for the evaluated server; None for an endpoint that was there before.
        snakemake: Process and begin of the Snakemake that this job belongs to.
        looked: When it last looked.
    """

    backend: Backend
    paths: RunPaths
    servers: Mapping[str, Server | None]
    session: SessionWatch
    comeback: Comeback | None = None
    snakemake: tuple[int, float] | None = field(default_factory=snakemake_process)
    looked: float = field(default_factory=time.monotonic)

    @property
    def evaluated(self) -> Server | None:
        """The server that is evaluated; None for an endpoint that was there before."""
        return next(iter(self.servers.values()))

    def check(self) -> None:
        """Raise DeploymentError or EndpointError when there is no use in going on; looks every `LIVENESS_S` seconds."""
        if time.monotonic() - self.looked < LIVENESS_S:
            return
        self.looked = time.monotonic()
        refuse_orphaned(self.snakemake)
        if ended := self.session.ended():
            raise EndpointError(ended)
        for deployment in self.servers:
            refuse_stopped(self.paths.server(deployment), deployment)
        self.check_servers()

    def check_servers(self) -> None:
        """Raise EndpointError when a server that the attempt began with is gone or is another process now."""
        for deployment, server in self.servers.items():
            if self.comeback is not None and deployment == self.comeback.deployment.name:
                self.comeback.check()
            elif server is not None:
                self._check(deployment, server)

    def _check(self, deployment: str, server: Server) -> None:
        now = self.backend.state(deployment)
        comes_back = now.state is ServerState.PENDING or now.incarnation != server.incarnation
        if comes_back and now.lives and now.server_id == server.server_id:
            raise ServerComesBack(f"the server of {deployment} was interrupted ({now.reason})")
        same = (now.server_id, now.generation) == (server.server_id, server.generation)
        if not now.lives or not same:
            known = now.reason or "it was started again"
            reason = known if now.lives else self.backend.cause(deployment, known)
            raise death(self.backend, deployment, reason)
