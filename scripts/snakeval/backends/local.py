"""Servers as detached processes of this machine, each under a supervisor."""

import os
import secrets
import socket
import subprocess
import time
from dataclasses import dataclass, replace

from snakeval.backends.handover import write_secrets
from snakeval.config.model import Config, Deployment
from snakeval.deployments.containers import container_runtime
from snakeval.deployments.launch import Placement, render_launch_script
from snakeval.deployments.types import environment_lock
from snakeval.errors import DeploymentError
from snakeval.run.paths import RunPaths
from snakeval.run.record import Pid, Record
from snakeval.run.server import Server, ServerRecord, ServerState, mark_stopped
from snakeval.system.environments import ensure_environment
from snakeval.system.files import last_lines, write_text
from snakeval.system.hashing import sha256_hex
from snakeval.system.podman import remove_container
from snakeval.system.processes import Mark, end_processes, is_alive, processes_of, start_time
from snakeval.system.slurm import clean_environment

LOOPBACK = "127.0.0.1"
STOP_PATIENCE_S = 10.0


@dataclass(frozen=True)
class Starter(Record):
    """`supervisor.json`: which process the supervisor is, until it has registered itself.

    Attributes:
        supervisor_pid, supervisor_start: As in `ServerRecord`.
    """

    supervisor_pid: Pid
    supervisor_start: float | None


class LocalBackend:
    """See `Backend`."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._paths = RunPaths(config.folder)

    def definition(self, deployment: Deployment) -> str:
        """Hash the launch script without what differs from start to start."""
        script = self._script(deployment, Placement(LOOPBACK, LOOPBACK, server_id=""))
        return sha256_hex(script, 16)

    def start(self, deployment: Deployment) -> None:
        """Render launch.sh and start it in a session of its own, so that it outlives the rule that started it."""
        paths = self._paths.server(deployment.name)
        _check_port(deployment)
        lock = environment_lock(deployment)
        if lock is not None:
            ensure_environment(lock)
        placement = Placement(host=LOOPBACK, advertise=LOOPBACK, server_id=secrets.token_hex(8))
        write_text(paths.launch_script, self._script(deployment, placement), mode=0o755)
        write_secrets(paths.secrets, deployment)
        paths.claims.mkdir(exist_ok=True)
        # The record comes before the process, which goes on writing it; its id has a file of its own until then.
        paths.starter.unlink(missing_ok=True)
        now = time.time()
        ServerRecord(
            state=ServerState.STARTING,
            server_id=placement.server_id,
            definition=self.definition(deployment),
            starter_pid=os.getpid(),
            started_at=now,
            updated_at=now,
            container_runtime=container_runtime(deployment, self._config.execution),
        ).write(paths.state)
        with paths.log.open("ab") as log:
            process = subprocess.Popen(
                ["bash", str(paths.launch_script)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=clean_environment() | Mark.of(paths.folder, placement.server_id).variables,
                start_new_session=True,
            )
        Starter(process.pid, start_time(process.pid)).write(paths.starter)

    def state(self, deployment: str) -> Server:
        """Read the state that the supervisor registered, and check that the supervisor still lives."""
        record = self._record(deployment)
        if record is None:
            return Server(ServerState.STOPPED)
        if record.state.is_over or _is_supervised(record):
            return record.seen_as(record.state, record.reason)
        return record.seen_as(ServerState.FAILED, "its supervisor is gone")

    def stop(self, deployment: str) -> None:
        """Ask the supervisor to end; what then still carries the server's mark is ended too."""
        paths = self._paths.server(deployment)
        record = self._record(deployment)
        if record is not None:
            mark = Mark.of(paths.folder, record.server_id)
            supervisors = [one for one in processes_of(mark) if one.pid == record.supervisor_pid]
            # The supervisor ends its server within its own patience; then come the stragglers, if any.
            end_processes(supervisors, 2 * STOP_PATIENCE_S)
            end_processes(processes_of(mark), STOP_PATIENCE_S)
            # Of the deployment that was started, whatever the configuration says by now.
            complaint = remove_container(mark) if record.container_runtime == "podman" else None
            if complaint:
                raise DeploymentError(f"podman cannot remove the container of {deployment}: {complaint}")
            mark_stopped(paths.state)
        paths.secrets.unlink(missing_ok=True)

    def log_tail(self, deployment: str) -> str:
        """Return the last lines of server.log."""
        return last_lines(self._paths.server(deployment).log)

    def cause(self, deployment: str, known: str | None) -> str | None:
        """Return what `state` knows already: nobody else ends servers here."""
        return known

    def _record(self, deployment: str) -> ServerRecord | None:
        """Return what the supervisor has registered, completed by what its starter knows of it."""
        paths = self._paths.server(deployment)
        record = ServerRecord.read(paths.state)
        if record is None or record.supervisor_pid is not None:
            return record
        starter = Starter.read(paths.starter)
        if starter is None and record.starter_pid is not None:
            # Between the record and the process there is only our own, which is just about to start it.
            starter = Starter(record.starter_pid, start_time(record.starter_pid))
        if starter is None:
            return record
        return replace(record, supervisor_pid=starter.supervisor_pid, supervisor_start=starter.supervisor_start)

    def _script(self, deployment: Deployment, placement: Placement) -> str:
        paths = self._paths.server(deployment.name)
        return render_launch_script(self._config.run, deployment, self._config.execution, paths, placement)


def _is_supervised(record: ServerRecord) -> bool:
    return record.supervisor_pid is not None and is_alive(record.supervisor_pid, record.supervisor_start)


def _check_port(deployment: Deployment) -> None:
    if deployment.port is None:
        return
    with socket.socket() as probe:
        if probe.connect_ex((LOOPBACK, deployment.port)) == 0:
            raise DeploymentError(
                f"port {deployment.port} of this machine, deployment.port of {deployment.name}, is taken by another "
                "server; free it, name another, or leave deployment.port out to have a free one taken"
            )
