"""Rules ready and ready_auxiliary: have a server up and write the task's lease on it."""

from dataclasses import replace

from snakeval.backends import backend_of
from snakeval.config.model import Config, Deployment, Task
from snakeval.deployments.instances import server_locks
from snakeval.deployments.types import deployment_type
from snakeval.harnesses.availability import harness_lock
from snakeval.harnesses.containers import require_container
from snakeval.run.claims import claim
from snakeval.run.lease import Lease
from snakeval.run.paths import RunPaths, auxiliary_user
from snakeval.run.session import refuse_stopped
from snakeval.serving.servers import ensure_server, probe_protocol, reach_deployment
from snakeval.serving.slots import slot
from snakeval.system.caller import refuse_orphaned, snakemake_process
from snakeval.system.environments import ensure_environment, environment_marker, environment_name
from snakeval.system.say import Say


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
    paths = RunPaths(config.folder)
    file = paths.task(deployment.name, task.name).lease
    refuse_stopped(paths.server(deployment.name), deployment.name)
    lease = Lease(deployment.name, task.name, last_attempt)
    await_environments(config, deployment, task, say)
    require_container(config, task, say)
    if not deployment_type(deployment.type).has_server:
        reach_deployment(config, deployment, task.protocol, attempt, say)
        lease.write(file)
        return
    backend = backend_of(config)
    with slot(config, paths, backend, deployment.name, task.name, say):
        snakemake = snakemake_process()
        server, _ = ensure_server(config, deployment, task.protocol, attempt, say)
        # A lease that nobody works with would keep the slot for ever.
        refuse_orphaned(snakemake)
        replace(lease, server_id=server.server_id).write(file)


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
    paths = RunPaths(config.folder)
    file = paths.auxiliary(auxiliary.name, deployment, task.name).lease
    user = auxiliary_user(deployment, task.name)
    refuse_stopped(paths.server(auxiliary.name), auxiliary.name)
    await_environments(config, auxiliary, task, say)
    with claim(paths, auxiliary.name, user):
        server, _ = reach_deployment(config, auxiliary, probe_protocol(auxiliary), attempt, say)
        Lease(auxiliary.name, user, last_attempt, server.server_id if server else None).write(file)


def await_environments(config: Config, deployment: Deployment, task: Task, say: Say) -> None:
    """Wait for the environments of server and harness, or build them: a server must not idle meanwhile."""
    for lock in (*server_locks(deployment, config.execution), harness_lock(task)):
        if lock is not None:
            if not environment_marker(environment_name(lock)).exists():
                say(f"waiting for environment {environment_name(lock)}, which is being built")
            ensure_environment(lock)
