"""Servers as endpoints of DGX Cloud Lepton, which runs their image, restarts them and asks clients for their key.

Only processes of the machine where Snakemake runs have a token. Jobs on Lepton read the state that the main process
keeps (lepton_keeper.py) on the shared volume, and ask it there to start a server that is gone.
"""

import os
import secrets
import time
from typing import Any

from snakemake_executor_plugin_lepton.api import Lepton, has_credentials
from snakemake_executor_plugin_lepton.model import Failure, LeptonError

from snakeval.backends.lepton.spec import ANY_ADDRESS, endpoint_name, endpoint_spec, named_token, port_of, spec_hash
from snakeval.backends.lepton.state import Seen, joined
from snakeval.config.model import Config, Deployment
from snakeval.deployments.launch import Placement, render_launch_script
from snakeval.deployments.types import environment_lock
from snakeval.errors import DeploymentError
from snakeval.run.paths import RunPaths
from snakeval.run.server import Server, ServerState
from snakeval.system.environments import ensure_environment
from snakeval.system.files import last_lines, locked, read_json, write_json, write_text
from snakeval.system.processes import SESSION_VARIABLE

ASK_EVERY_S = 3.0
STOP_PATIENCE_S = 60.0
KEPT_S = 20.0
OVER = (ServerState.STOPPED, ServerState.FAILED)


class LeptonBackend:
    """See `Backend`."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._paths = RunPaths(config.folder)
        self._client: Lepton | None = None
        self._asked = float("-inf")
        # In a job on Lepton there is neither; elsewhere a missing token is an error that has to be seen.
        self._may_ask = SESSION_VARIABLE in os.environ or has_credentials()

    def definition(self, deployment: Deployment) -> str:
        """Hash the endpoint's specification; the launch script is in it as the container's command."""
        token = named_token(deployment, self._config.execution) or "own"
        return spec_hash(endpoint_spec(deployment, self._config.execution, self._script(deployment), token))

    def start(self, deployment: Deployment) -> None:
        """Create the endpoint; where there is no token, ask the Snakemake that owns the run to do it."""
        if not self._may_ask:
            self._ask_for(deployment)
            return
        lock = environment_lock(deployment)
        if lock is not None:
            ensure_environment(lock)
        paths, script = self._paths.server(deployment.name), self._script(deployment)
        name = endpoint_name(self._owner(), self._config.run, deployment)
        write_text(paths.launch_script, script, mode=0o755)
        paths.claims.mkdir(exist_ok=True)
        # On record before it exists, so that nobody can lose an endpoint that is paid for.
        self._write_record(deployment, name)
        try:
            token = self._hand_over_key(deployment, name)
            groups = {group.name: group.group_id for group in self._lepton().node_groups()}
            spec = endpoint_spec(deployment, self._config.execution, script, token, groups)
            self._create(name, spec)
        except LeptonError as error:
            self._change(deployment.name, {"state": ServerState.FAILED, "reason": f"refused by Lepton: {error}"})
            paths.secrets.unlink(missing_ok=True)
            raise DeploymentError(f"Lepton did not create the endpoint of {deployment.name}: {error}") from None

    def state(self, deployment: str) -> Server:
        """Return what is on record; ask Lepton first when nobody else keeps the record and it may be asked."""
        record = read_json(self._paths.server(deployment).state)
        if record is None:
            return Server(ServerState.STOPPED)
        if record["state"] not in OVER and self._may_ask and not self._is_kept():
            if time.monotonic() - self._asked > ASK_EVERY_S:
                self._asked = time.monotonic()
                self.refresh([deployment], wake=True)
            record = read_json(self._paths.server(deployment).state) or record
        return Server.of_record(record, ServerState(record["state"]), record.get("reason"))

    def stop(self, deployment: str) -> None:
        """Keep the endpoint's log, delete it and its key, and wait until both are gone; nothing without a token."""
        paths = self._paths.server(deployment)
        record = read_json(paths.state)
        if record is None or record["state"] == ServerState.STOPPED or not self._may_ask:
            return
        name = record["endpoint"]
        try:
            self._keep_log(deployment, name)
            self._lepton().delete_endpoint(name)
            self._await_end(name)
            if not record.get("named_token"):
                self._lepton().delete_secret(name)
        except LeptonError as error:
            raise DeploymentError(
                f"the Lepton endpoint {name} of {deployment} could not be deleted ({error}); "
                "it ends by its own time-out, or by `snakeval clean`"
            ) from None
        if record["state"] not in OVER:
            self._change(deployment, {"state": ServerState.STOPPED, "reason": "stopped"})
        paths.secrets.unlink(missing_ok=True)

    def log_tail(self, deployment: str) -> str:
        """Return the last lines of server.log, brought up to date where Lepton may be asked."""
        record = read_json(self._paths.server(deployment).state)
        if record is not None and self._may_ask and record["state"] != ServerState.STOPPED:
            self._keep_log(deployment, record["endpoint"])
        return last_lines(self._paths.server(deployment).log)

    def cause(self, deployment: str, known: str | None) -> str | None:
        """Return what `state` knows already: it comes from Lepton."""
        return known

    def refresh(self, deployments: list[str], wake: bool) -> None:
        """Bring the records of these deployments up to date with one list call; an outage changes nothing.

        Args:
            deployments: Names.
            wake: Whether an endpoint that was scaled to zero is to be woken; requests alone do not.
        """
        records = {name: read_json(self._paths.server(name).state) for name in deployments}
        living = {name: record for name, record in records.items() if record and record["state"] not in OVER}
        living = {name: record for name, record in living.items() if not record.get("wanted")}
        if not living:
            return
        try:
            rows = {row.name: row for row in self._lepton().endpoints()}
            for name, record in living.items():
                self._refresh(name, record, Seen(rows.get(record["endpoint"])), wake)
        except LeptonError as error:
            if error.failure is Failure.UNAUTHORIZED:
                self._client = None  # The next one reads the credentials again.
            # A token that was refused says nothing of the servers either, but its owner has to know.
            for name in living:
                self._change(name, {"reason": f"Lepton cannot be asked: {error}"}, living[name]["server_id"])

    def wanted(self) -> list[Deployment]:
        """Return the deployments whose server a job without a token has asked for."""
        found = []
        for deployment in self._config.served:
            record = read_json(self._paths.server(deployment.name).state)
            if record is not None and record.get("wanted") and record["state"] not in OVER:
                found.append(deployment)
        return found

    def mark_kept(self) -> None:
        """Say that the records are up to date: others need not ask Lepton."""
        self._paths.keeper.touch()

    def _refresh(self, deployment: str, record: dict[str, Any], seen: Seen, wake: bool) -> None:
        name = record["endpoint"]
        if seen.row is not None and seen.row.state != "Ready":
            seen = Seen(seen.row, self._lepton().endpoint_issue(name), self._lepton().endpoint_terminations(name))
        changes = joined(record, seen, self._config.execution.max_restarts)
        waking = bool(changes.get("asleep") and wake)
        if waking:
            self._lepton().wake_endpoint(name, int(record.get("min_replicas") or 1))
            changes["reason"] = "scaled to zero; woken"
        if waking and not record.get("waking"):
            changes["incarnation"] = int(record.get("incarnation") or 0) + 1
        changes["waking"] = waking
        if changes.get("state") == ServerState.READY and not record.get("ready_at"):
            changes["ready_at"] = time.time()
        if changes.get("state") == ServerState.FAILED and seen.row is not None:
            self._keep_log(deployment, name)
        self._change(deployment, changes, record["server_id"])

    def _create(self, name: str, spec: dict[str, Any]) -> None:
        """Create the endpoint; one of the same name that an earlier call left is deleted first."""
        deadline = time.monotonic() + STOP_PATIENCE_S
        while True:
            try:
                self._lepton().create_endpoint(name, {"snakeval": self._config.run[:63]}, spec)
                return
            except LeptonError as error:
                if not (error.failure is Failure.REFUSED and str(error).startswith("409")):
                    raise
                if time.monotonic() > deadline:
                    raise
                self._lepton().delete_endpoint(name)
                time.sleep(0.5)

    def _await_end(self, name: str) -> None:
        deadline = time.monotonic() + STOP_PATIENCE_S
        while time.monotonic() < deadline:
            try:
                if self._lepton().endpoint(name).state == "Deleting":
                    return
            except LeptonError as error:
                if error.failure is Failure.NOT_FOUND:
                    return
                raise
            time.sleep(0.5)
        raise LeptonError(Failure.UNAVAILABLE, f"it is still there after {STOP_PATIENCE_S:.0f} s")

    def _hand_over_key(self, deployment: Deployment, name: str) -> str:
        """Return the name of the secret with the endpoint's key; a new key goes to Lepton's store and nowhere else."""
        file = self._paths.server(deployment.name).secrets
        named = named_token(deployment, self._config.execution)
        if named is not None:
            variable = self._config.execution.options["api_token_variable"] or named
            write_json(file, {"environment": {}, "runtime": {}, "key_variable": variable}, mode=0o600)
            return named
        key = secrets.token_urlsafe(32)
        self._lepton().delete_secret(name)
        self._lepton().create_secret(name, key)
        write_json(file, {"environment": {"SNAKEVAL_API_KEY": key}, "runtime": {}}, mode=0o600)
        return name

    def _write_record(self, deployment: Deployment, name: str, **more: Any) -> None:
        own = deployment.options.get("lepton_config") or {}
        paths, now = self._paths.server(deployment.name), time.time()
        record = {
            "state": "PENDING",
            "reason": None,
            "server_id": secrets.token_hex(8),
            "definition": self.definition(deployment),
            "generation": 0,
            "incarnation": 0,
            "restarts": 0,
            "endpoint": name,
            "url": None,
            "min_replicas": own.get("min_replicas") or self._config.execution.options["min_replicas"],
            "named_token": named_token(deployment, self._config.execution),
            "started_at": now,
            "updated_at": now,
        }
        with locked(paths.folder / ".state.lock"):
            write_json(paths.state, record | more)

    def _ask_for(self, deployment: Deployment) -> None:
        name = endpoint_name(self._owner(), self._config.run, deployment)
        reason = "waiting for the Snakemake that owns the run to start it: there is no token here"
        self._write_record(deployment, name, wanted=True, reason=reason)

    def _change(self, deployment: str, changes: dict[str, Any], server_id: str | None = None) -> None:
        """Change the record, unless it is of another start by now."""
        paths = self._paths.server(deployment)
        with locked(paths.folder / ".state.lock"):
            record = read_json(paths.state)
            if record is None or (server_id is not None and record["server_id"] != server_id):
                return
            if any(record.get(name) != value for name, value in changes.items()):
                write_json(paths.state, record | changes | {"updated_at": time.time()})

    def _keep_log(self, deployment: str, name: str) -> None:
        try:
            text = self._lepton().endpoint_log(name)
        except LeptonError:
            return
        if text:
            write_text(self._paths.server(deployment).log, text)

    def _is_kept(self) -> bool:
        try:
            return time.time() - self._paths.keeper.stat().st_mtime < KEPT_S
        except FileNotFoundError:
            return False

    def _lepton(self) -> Lepton:
        if self._client is None:
            self._client = Lepton()
        return self._client

    def _owner(self) -> str:
        """Return the run's own random number: two users may have runs of one name at the same path of two volumes."""
        file = self._paths.lepton_owner
        file.parent.mkdir(parents=True, exist_ok=True)
        with locked(file.with_name(f"{file.name}.lock")):
            if not file.exists():
                write_text(file, secrets.token_hex(8))
        return file.read_text(encoding="utf-8")

    def _script(self, deployment: Deployment) -> str:
        paths = self._paths.server(deployment.name)
        placement = Placement(ANY_ADDRESS, ANY_ADDRESS, server_id="", platform_port=port_of(deployment))
        return render_launch_script(self._config.run, deployment, self._config.execution, paths, placement)
