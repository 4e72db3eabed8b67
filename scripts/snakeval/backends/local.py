"""Servers as detached processes of this machine, each under a supervisor."""

import hashlib
import os
import secrets
import socket
import subprocess
import time
from typing import Any

from snakeval.backends.handover import write_secrets
from snakeval.config.model import Config, Deployment
from snakeval.deployments.containers import container_runtime
from snakeval.deployments.launch import Placement, render_launch_script
from snakeval.deployments.types import environment_lock
from snakeval.errors import DeploymentError
from snakeval.run.paths import RunPaths
from snakeval.run.server import Server, ServerState
from snakeval.system.environ import clean_environment
from snakeval.system.environments import ensure_environment
from snakeval.system.files import last_lines, read_json, write_json, write_text
from snakeval.system.podman import remove_container
from snakeval.system.processes import end_processes, is_alive, processes_of, start_time

LOOPBACK = "127.0.0.1"
STARTER = "supervisor.json"
STOP_PATIENCE_S = 10.0


class LocalBackend:
    """See `Backend`."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._paths = RunPaths(config.folder)

    def definition(self, deployment: Deployment) -> str:
        """Hash the launch script without what differs from start to start."""
        script = self._script(deployment, Placement(LOOPBACK, LOOPBACK, server_id=""))
        return hashlib.sha256(script.encode()).hexdigest()[:16]

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
        starter = paths.folder / STARTER
        starter.unlink(missing_ok=True)
        record = _first_record(placement.server_id, self.definition(deployment))
        write_json(paths.state, record | {"container_runtime": container_runtime(deployment, self._config.execution)})
        with paths.log.open("ab") as log:
            process = subprocess.Popen(
                ["bash", str(paths.launch_script)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=clean_environment() | {"SNAKEVAL_SERVER_ID": placement.server_id},
                start_new_session=True,
            )
        write_json(starter, {"supervisor_pid": process.pid, "supervisor_start": start_time(process.pid)})

    def state(self, deployment: str) -> Server:
        """Read the state that the supervisor registered, and check that the supervisor still lives."""
        record = self._record(deployment)
        if record is None:
            return Server(ServerState.STOPPED)
        state, reason = ServerState(record["state"]), record.get("reason")
        if state not in (ServerState.STOPPED, ServerState.FAILED) and not is_alive(
            record["supervisor_pid"], record["supervisor_start"]
        ):
            state, reason = ServerState.FAILED, "its supervisor is gone"
        return Server.of_record(record, state, reason)

    def stop(self, deployment: str) -> None:
        """Ask the supervisor to end; what then still carries the server's id is ended too."""
        paths = self._paths.server(deployment)
        record = self._record(deployment)
        if record is not None:
            family = processes_of(record["server_id"])
            supervisors = [one for one in family if one.pid == record["supervisor_pid"]]
            # The supervisor ends its server within its own patience; then come the stragglers, if any.
            end_processes(supervisors, 2 * STOP_PATIENCE_S)
            end_processes(processes_of(record["server_id"]), STOP_PATIENCE_S)
            # Of the deployment that was started, whatever the configuration says by now.
            complaint = remove_container(record["server_id"]) if record.get("container_runtime") == "podman" else None
            if complaint:
                raise DeploymentError(f"podman cannot remove the container of {deployment}: {complaint}")
            if record["state"] not in (ServerState.STOPPED, ServerState.FAILED):
                latest = read_json(paths.state) or record
                if latest["state"] not in (ServerState.STOPPED, ServerState.FAILED):
                    write_json(
                        paths.state, latest | {"state": "STOPPED", "reason": "stopped", "updated_at": time.time()}
                    )
        paths.secrets.unlink(missing_ok=True)

    def log_tail(self, deployment: str) -> str:
        """Return the last lines of server.log."""
        return last_lines(self._paths.server(deployment).log)

    def cause(self, deployment: str, known: str | None) -> str | None:
        """Return what `state` knows already: nobody else ends servers here."""
        return known

    def _record(self, deployment: str) -> dict[str, Any] | None:
        """Return what the supervisor has registered, completed by what its starter knows of it."""
        paths = self._paths.server(deployment)
        record = read_json(paths.state)
        if record is not None and "supervisor_pid" not in record:
            # Between the record and the process there is only our own, which is just about to start it.
            record |= read_json(paths.folder / STARTER) or {
                "supervisor_pid": record["starter_pid"],
                "supervisor_start": start_time(record["starter_pid"]),
            }
        return dict(record) if record is not None else None

    def _script(self, deployment: Deployment, placement: Placement) -> str:
        paths = self._paths.server(deployment.name)
        return render_launch_script(self._config.run, deployment, self._config.execution, paths, placement)


def _check_port(deployment: Deployment) -> None:
    if deployment.port is None:
        return
    with socket.socket() as probe:
        if probe.connect_ex((LOOPBACK, deployment.port)) == 0:
            raise DeploymentError(
                f"port {deployment.port} of this machine, deployment.port of {deployment.name}, is taken by another "
                "server; free it, name another, or leave deployment.port out to have a free one taken"
            )


def _first_record(server_id: str, definition: str) -> dict[str, object]:
    now = time.time()
    return {
        "state": "STARTING",
        "reason": None,
        "server_id": server_id,
        "definition": definition,
        "generation": 0,
        "starter_pid": os.getpid(),
        "started_at": now,
        "updated_at": now,
    }
