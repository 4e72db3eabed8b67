"""Brings a deployment's server up, once for all its tasks, and says where it answers."""

import time
from itertools import count

from snakeval.backends import backend_of, beside
from snakeval.backends.base import Backend
from snakeval.config.model import Config, Deployment
from snakeval.deployments.endpoint import existing_endpoint, server_endpoint
from snakeval.deployments.types import checks_api_key, deployment_type
from snakeval.endpoint import Endpoint, Protocol
from snakeval.errors import DeploymentError, EndpointError
from snakeval.gateway.patience import pause_of_busy_s
from snakeval.run.failures import FailedStarts
from snakeval.run.paths import RunPaths, ServerPaths
from snakeval.run.server import Server, ServerState
from snakeval.run.session import refuse_stopped
from snakeval.serving.probe import BusyError, check_endpoint
from snakeval.serving.wait import Wait
from snakeval.system.files import locked
from snakeval.system.say import Say


def probe_protocol(auxiliary: Deployment) -> Protocol:
    """Return the kind of request by which an auxiliary deployment is probed: chat, if it answers chat requests."""
    protocols = auxiliary.options.get("protocols") or [Protocol.CHAT.value]
    return Protocol.CHAT if Protocol.CHAT.value in protocols else Protocol(protocols[0])


def reach_deployment(
    config: Config, deployment: Deployment, protocol: Protocol, attempt: int, say: Say
) -> tuple[Server | None, Endpoint]:
    """Return a deployment's server, or None if it has none, and its endpoint, which has just answered.

    A server that is not up is started.

    Raises:
        DeploymentError, EndpointError: As `make_ready`.
    """
    if deployment_type(deployment.type).has_server:
        return ensure_server(config, deployment, protocol, attempt, say)
    files = RunPaths(config.folder).server(deployment.name)
    refuse_stopped(files, deployment.name)
    endpoint = existing_endpoint(deployment)
    _check_patiently(endpoint, protocol, config.execution.readiness_timeout_s, say)
    return None, endpoint


def _check_patiently(endpoint: Endpoint, protocol: Protocol, patience_s: float, say: Say) -> None:
    """Check an endpoint that was there before; while it says that it is busy, it is asked again."""
    begin = time.monotonic()
    for tries in count(1):
        try:
            check_endpoint(endpoint, protocol, by_proxy=True)
            return
        except BusyError as error:
            pause_s = pause_of_busy_s(error.retry_after, tries)
            if time.monotonic() - begin + pause_s > patience_s:
                raise EndpointError(f"{error}; waited for execution.readiness_timeout_s ({patience_s} s)") from None
            say(f"{error}; asking again in {pause_s:.0f} s")
            time.sleep(pause_s)


def ensure_server(
    config: Config, deployment: Deployment, protocol: Protocol, attempt: int, say: Say
) -> tuple[Server, Endpoint]:
    """Return the deployment's server, started now unless it is up, and its endpoint, which has just answered.

    Safe to call from several processes at once: one starts the server, the others wait for it.

    Raises:
        DeploymentError: as `make_ready`.
        EndpointError: as `make_ready`.
    """
    paths = RunPaths(config.folder)
    files = paths.server(deployment.name)
    backend = backend_of(config)
    with locked(files.lock):
        refuse_stopped(files, deployment.name)
        server = backend.state(deployment.name)
        others = len(paths.leases(deployment.name)) > 0
        if server.lives and not others and server.definition != backend.definition(deployment):
            say(f"the configuration of {deployment.name} has changed: stopping its server")
            backend.stop(deployment.name)
            server = backend.state(deployment.name)
        started = not server.lives
        if started:
            _start(backend, deployment, files, attempt, server, say)
        try:
            return _answering(backend, config, deployment, protocol, say, started)
        except (DeploymentError, EndpointError) as error:
            FailedStarts.note(files.failures, str(error))
            if not others:
                backend.stop(deployment.name)
            raise


def _answering(
    backend: Backend, config: Config, deployment: Deployment, protocol: Protocol, say: Say, started: bool
) -> tuple[Server, Endpoint]:
    checks = checks_api_key(deployment)
    answered: dict[int, Endpoint] = {}

    def ask(server: Server, timeout_s: float) -> None:
        endpoint = server_endpoint(config, deployment, server)
        if server.allocation is None:
            check_endpoint(endpoint, protocol, checks or server.guarded, timeout_s)
        else:
            beside(config, server.allocation).check(endpoint, protocol, checks or server.guarded, timeout_s)
        # Asked again, it may be another process by now, with another key.
        answered[server.generation] = endpoint

    begin = time.monotonic()
    log = RunPaths(config.folder).server(deployment.name).log
    server = Wait(backend, deployment, config.execution, log, ask, say).until_it_answers()
    if started:
        where = server.url or f"{server.host}:{server.port}"
        say(f"{deployment.name} is ready on {where} after {time.monotonic() - begin:.0f} s")
    return server, answered[server.generation]


def _start(backend: Backend, deployment: Deployment, files: ServerPaths, attempt: int, last: Server, say: Say) -> None:
    failures = FailedStarts.of_this_session(files.failures)
    if failures is not None and failures.count >= attempt:
        raise DeploymentError(failures.message)
    why = f" (the last one: {last.reason})" if last.state is ServerState.FAILED else ""
    say(f"starting the server of {deployment.name}{why}, log: {files.log}")
    backend.stop(deployment.name)
    backend.start(deployment)
