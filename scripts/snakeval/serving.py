"""Brings a deployment's server up, once for all its tasks, and says where it answers."""

import os
import time

from snakeval.backends import Backend, Server, ServerState, backend_of
from snakeval.backends.slurm_step import Step, check_beside
from snakeval.claims import claim, slot
from snakeval.config.model import Config, Deployment, Protocol, Task
from snakeval.deployment_types import checks_api_key, deployment_type
from snakeval.environments import ensure_environment, environment_marker, environment_name, harness_lock
from snakeval.errors import DeploymentError, EndpointError
from snakeval.files import locked, read_json, write_json
from snakeval.harnesses import Endpoint
from snakeval.instances.plan import server_locks
from snakeval.paths import RunPaths, ServerPaths, auxiliary_user
from snakeval.processes import SESSION_VARIABLE
from snakeval.readiness import check_endpoint
from snakeval.stopping import refuse_stopped
from snakeval.task_containers import require_container
from snakeval.waiting import Say, Wait


def make_ready(config: Config, deployment: Deployment, task: Task, attempt: int, last_attempt: int, say: Say) -> None:
    """Rule ready: have the server up and answering, and write the task's lease.

    Args:
        config: The run.
        deployment: What to serve.
        task: Whose lease it is; its protocol is what the probe asks for.
        attempt: Of the rule, from 1: a server is started at most once for each attempt, whichever task asks.
        last_attempt: Of rule evaluate; the lease hands it on, because a job on a cluster does not know it.
        say: Where progress goes, a line at a time.

    Raises:
        DeploymentError: the server could not be started or did not become ready in time.
        EndpointError: it is there and does not answer as it must.
    """
    paths = RunPaths(config.execution.output_dir / config.run)
    lease = paths.task(deployment.name, task.name).lease
    refuse_stopped(paths.server(deployment.name), deployment.name)
    record = {"deployment": deployment.name, "task": task.name, "last_attempt": last_attempt}
    _await_environments(config, deployment, task, say)
    require_container(config, task, say)
    if not deployment_type(deployment.type).has_server:
        check_endpoint(existing_endpoint(deployment), task.protocol)
        write_json(lease, record)
        return
    backend = backend_of(config)
    with slot(config, paths, backend, deployment.name, task.name, say):
        server, _ = ensure_server(config, deployment, task.protocol, attempt, say)
        write_json(lease, record | {"server_id": server.server_id})


def make_auxiliary_ready(
    config: Config, auxiliary: Deployment, deployment: str, task: Task, attempt: int, last_attempt: int, say: Say
) -> None:
    """Rule ready_auxiliary: have an auxiliary deployment up and answering, and write a task's lease on it.

    It takes no slot of `execution.max_deployments`: it is there as long as any task may use it.

    Args:
        config: The run.
        auxiliary: What to serve.
        deployment: What the task evaluates.
        task: Whose lease it is.
        attempt, last_attempt, say: As in `make_ready`.

    Raises:
        DeploymentError, EndpointError: As `make_ready`.
    """
    paths = RunPaths(config.execution.output_dir / config.run)
    lease = paths.auxiliary(auxiliary.name, deployment, task.name).lease
    user = auxiliary_user(deployment, task.name)
    refuse_stopped(paths.server(auxiliary.name), auxiliary.name)
    _await_environments(config, auxiliary, task, say)
    with claim(paths, auxiliary.name, user):
        server, _ = reach(config, auxiliary, asked_of(auxiliary), attempt, say)
        record = {"deployment": auxiliary.name, "task": user, "last_attempt": last_attempt}
        write_json(lease, record | ({"server_id": server.server_id} if server else {}))


def asked_of(auxiliary: Deployment) -> Protocol:
    """Return the kind of request that an auxiliary deployment is asked for before it is used: chat, where it can."""
    answered = auxiliary.options.get("protocols") or [Protocol.CHAT.value]
    return Protocol.CHAT if Protocol.CHAT.value in answered else Protocol(answered[0])


def reach(
    config: Config, deployment: Deployment, protocol: Protocol, attempt: int, say: Say
) -> tuple[Server | None, Endpoint]:
    """Return a deployment's endpoint, which has just answered, and its server: started when it was not up, or none.

    Raises:
        DeploymentError, EndpointError: As `make_ready`.
    """
    if deployment_type(deployment.type).has_server:
        return ensure_server(config, deployment, protocol, attempt, say)
    files = RunPaths(config.execution.output_dir / config.run).server(deployment.name)
    refuse_stopped(files, deployment.name)
    endpoint = existing_endpoint(deployment)
    check_endpoint(endpoint, protocol)
    return None, endpoint


def ensure_server(
    config: Config, deployment: Deployment, protocol: Protocol, attempt: int, say: Say
) -> tuple[Server, Endpoint]:
    """Return the deployment's server, started now unless it is up, and its endpoint, which has just answered.

    Safe to call from several processes at once: one starts the server, the others wait for it.

    Raises:
        DeploymentError: as `make_ready`.
        EndpointError: as `make_ready`.
    """
    paths = RunPaths(config.execution.output_dir / config.run)
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
            _note_failure(files, str(error))
            if not others:
                backend.stop(deployment.name)
            raise


def _answering(
    backend: Backend, config: Config, deployment: Deployment, protocol: Protocol, say: Say, started: bool
) -> tuple[Server, Endpoint]:
    checks = checks_api_key(deployment)

    def ask(server: Server, timeout_s: float) -> None:
        endpoint = server_endpoint(config, deployment, server)
        if server.allocation is None:
            check_endpoint(endpoint, protocol, checks or server.guarded, timeout_s)
        else:
            check_beside(Step(server.allocation), endpoint, protocol, checks or server.guarded, timeout_s)

    begin = time.monotonic()
    log = RunPaths(config.execution.output_dir / config.run).server(deployment.name).log
    server = Wait(backend, deployment, config.execution, log, ask, say).until_it_answers()
    if started:
        where = server.url or f"{server.host}:{server.port}"
        say(f"{deployment.name} is ready on {where} after {time.monotonic() - begin:.0f} s")
    return server, server_endpoint(config, deployment, server)


def server_endpoint(config: Config, deployment: Deployment, server: Server) -> Endpoint:
    """Return where a server that has registered its address answers."""
    files = RunPaths(config.execution.output_dir / config.run).server(deployment.name)
    base_path = deployment.options.get("base_path", deployment_type(deployment.type).base_path)
    secrets = read_json(files.secrets) or {"environment": {}}
    # A key that is the user's own is in no file: a variable of that name holds it wherever it is needed.
    own = os.environ.get(secrets.get("key_variable") or "")
    address = server.url or f"http://{server.host}:{server.port}"
    key = secrets["environment"].get("SNAKEVAL_API_KEY", own)
    return Endpoint(f"{address.rstrip('/')}{base_path}", deployment.served_model_name, key)


def existing_endpoint(deployment: Deployment) -> Endpoint:
    """Return the endpoint of a deployment of type none, with the key from its environment variable."""
    name = deployment.options["api_key_name"]
    key = os.environ.get(name) if name else None
    return Endpoint(deployment.options["base_url"], deployment.served_model_name, key)


def _await_environments(config: Config, deployment: Deployment, task: Task, say: Say) -> None:
    """Wait for the environments of server and harness, or build them: a server must not idle meanwhile."""
    for lock in (*server_locks(deployment, config.execution), harness_lock(task)):
        if lock is not None:
            if not environment_marker(environment_name(lock)).exists():
                say(f"waiting for environment {environment_name(lock)}, which is being built")
            ensure_environment(lock)


def _start(backend: Backend, deployment: Deployment, files: ServerPaths, attempt: int, last: Server, say: Say) -> None:
    failures = read_json(files.failures) or {}
    if failures.get("session") == os.environ.get(SESSION_VARIABLE, "") and failures["count"] >= attempt:
        raise DeploymentError(failures["message"])
    why = f" (the last one: {last.reason})" if last.state is ServerState.FAILED else ""
    say(f"starting the server of {deployment.name}{why}, log: {files.log}")
    backend.stop(deployment.name)
    backend.start(deployment)


def _note_failure(files: ServerPaths, message: str) -> None:
    """Remember the failed start, so that the other tasks of this deployment do not each repeat it."""
    file, session = files.failures, os.environ.get(SESSION_VARIABLE, "")
    failures = read_json(file) or {}
    count = failures["count"] + 1 if failures.get("session") == session else 1
    write_json(file, {"session": session, "count": count, "message": message})
