"""Servers as endpoints of DGX Cloud Lepton, which runs their image, restarts them and asks clients for their key.

Only processes of the machine where Snakemake runs have a token. Jobs on Lepton read the state that the main process
keeps (keeper.py) on the shared volume, and ask it there to start a server that is gone.
"""

import os
import secrets
import time
from dataclasses import fields, replace
from typing import Any

from snakemake_executor_plugin_lepton.api import Lepton, has_credentials
from snakemake_executor_plugin_lepton.model import Failure, LeptonError

from snakeval.backends.lepton.marks import is_kept, known_owner, run_owner
from snakeval.backends.lepton.spec import (
    ANY_ADDRESS,
    endpoint_name,
    endpoint_spec,
    named_token,
    port_of,
    run_prefix,
    spec_hash,
)
from snakeval.backends.lepton.state import Seen, joined
from snakeval.config.model import Config, Deployment
from snakeval.deployments.launch import Placement, render_launch_script
from snakeval.deployments.types import environment_lock
from snakeval.errors import DeploymentError
from snakeval.run.paths import RunPaths
from snakeval.run.record import Damage, say_once
from snakeval.run.server import Secrets, Server, ServerRecord, ServerState
from snakeval.system.environments import ensure_environment
from snakeval.system.files import last_lines, locked, write_text
from snakeval.system.polling import rounds
from snakeval.system.processes import SESSION_VARIABLE

ASK_EVERY_S = 3.0
STOP_PATIENCE_S = 60.0


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
        name = endpoint_name(run_owner(self._paths), self._config.run, deployment)
        write_text(paths.launch_script, script, mode=0o755)
        paths.claims.mkdir(exist_ok=True)
        # On record before it exists, so that nobody can lose an endpoint that is paid for.
        record = self._first_record(deployment, name)
        self._write(record, deployment.name)
        try:
            token = self._hand_over_key(deployment, name)
            groups = {group.name: group.group_id for group in self._lepton().node_groups()}
            spec = endpoint_spec(deployment, self._config.execution, script, token, groups)
            self._create(name, spec)
        except LeptonError as error:
            refused = replace(record, state=ServerState.FAILED, reason=f"refused by Lepton: {error}")
            self._change(deployment.name, record, refused)
            paths.secrets.unlink(missing_ok=True)
            raise DeploymentError(f"Lepton did not create the endpoint of {deployment.name}: {error}") from None

    def state(self, deployment: str) -> Server:
        """Return what is on record; ask Lepton first when nobody else keeps the record and it may be asked."""
        record = self._record(deployment)
        if record is None:
            return Server(ServerState.STOPPED)
        if not record.state.is_over and self._may_ask and not is_kept(self._paths):
            if time.monotonic() - self._asked > ASK_EVERY_S:
                self._asked = time.monotonic()
                self.refresh([deployment], wake=True)
            record = self._record(deployment) or record
        return record.seen_as(record.state, record.reason)

    def stop(self, deployment: str) -> None:
        """Keep the endpoint's log, delete it and its key, and wait until both are gone; nothing without a token."""
        paths = self._paths.server(deployment)
        record = self._record(deployment)
        name = record.endpoint if record is not None else None
        if record is None or name is None or record.state is ServerState.STOPPED or not self._may_ask:
            return
        try:
            self._keep_log(deployment, name)
            self._lepton().delete_endpoint(name)
            self._await_end(name)
            if record.named_token is None:
                self._lepton().delete_secret(name)
        except LeptonError as error:
            raise DeploymentError(
                f"the Lepton endpoint {name} of {deployment} could not be deleted ({error}); "
                "it ends by its own time-out, or by `snakeval clean`"
            ) from None
        if not record.state.is_over:
            self._change(deployment, record, replace(record, state=ServerState.STOPPED, reason="stopped"))
        paths.secrets.unlink(missing_ok=True)

    def log_tail(self, deployment: str) -> str:
        """Return the last lines of server.log, brought up to date where Lepton may be asked."""
        record = self._record(deployment)
        if record is not None and record.endpoint and self._may_ask and record.state is not ServerState.STOPPED:
            self._keep_log(deployment, record.endpoint)
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
        records = {name: self._record(name) for name in deployments}
        living = {name: record for name, record in records.items() if record and not record.state.is_over}
        living = {name: record for name, record in living.items() if not record.wanted}
        if not living:
            return
        try:
            rows = {row.name: row for row in self._lepton().endpoints()}
            for name, record in living.items():
                self._refresh(name, record, Seen(rows.get(record.endpoint or "")), wake)
        except LeptonError as error:
            if error.failure is Failure.UNAUTHORIZED:
                self._client = None  # The next one reads the credentials again.
            # A token that was refused says nothing of the servers either, but its owner has to know.
            for name, record in living.items():
                self._change(name, record, replace(record, reason=f"Lepton cannot be asked: {error}"))

    def wanted(self) -> list[Deployment]:
        """Return the deployments whose server a job without a token has asked for."""
        found = []
        for deployment in self._config.served:
            record = self._record(deployment.name)
            if record is not None and record.wanted and not record.state.is_over:
                found.append(deployment)
        return found

    def _record(self, deployment: str) -> ServerRecord | None:
        """Return what is on record; an endpoint without the name that this run gives is another's, and damage."""
        file = self._paths.server(deployment).state
        record, owner = ServerRecord.read(file), known_owner(self._paths)
        if record is None or record.endpoint is None or (owner and record.endpoint.startswith(run_prefix(owner))):
            return record
        say_once(Damage(file, f"the endpoint {record.endpoint} is none of this run"))
        return None

    def _refresh(self, deployment: str, record: ServerRecord, seen: Seen, wake: bool) -> None:
        name = record.endpoint or ""
        if seen.row is not None and seen.row.state != "Ready":
            seen = Seen(seen.row, self._lepton().endpoint_issue(name), self._lepton().endpoint_terminations(name))
        now = joined(record, seen, self._config.execution.max_restarts)
        now = replace(now, waking=now.asleep and wake)
        if now.waking:
            self._lepton().wake_endpoint(name, record.min_replicas or 1)
            now = replace(now, reason="scaled to zero; woken")
        if now.waking and not record.waking:
            now = replace(now, incarnation=record.incarnation + 1)
        if now.state is ServerState.READY and not record.ready_at:
            now = replace(now, ready_at=time.time())
        if now.state is ServerState.FAILED and seen.row is not None:
            self._keep_log(deployment, name)
        self._change(deployment, record, now)

    def _create(self, name: str, spec: dict[str, Any]) -> None:
        """Create the endpoint; one of the same name that an earlier call left is deleted first."""
        for waited_s in rounds(0.5):
            try:
                self._lepton().create_endpoint(name, {"snakeval": self._config.run[:63]}, spec)
                return
            except LeptonError as error:
                taken = error.failure is Failure.REFUSED and str(error).startswith("409")
                if not taken or waited_s > STOP_PATIENCE_S:
                    raise
                self._lepton().delete_endpoint(name)

    def _await_end(self, name: str) -> None:
        for _ in rounds(0.5, STOP_PATIENCE_S):
            try:
                if self._lepton().endpoint(name).state == "Deleting":
                    return
            except LeptonError as error:
                if error.failure is Failure.NOT_FOUND:
                    return
                raise
        raise LeptonError(Failure.UNAVAILABLE, f"it is still there after {STOP_PATIENCE_S:.0f} s")

    def _hand_over_key(self, deployment: Deployment, name: str) -> str:
        """Return the name of the secret with the endpoint's key; a new key goes to Lepton's store and nowhere else."""
        file = self._paths.server(deployment.name).secrets
        named = named_token(deployment, self._config.execution)
        if named is not None:
            variable = self._config.execution.options["api_token_variable"] or named
            Secrets({}, {}, variable).write(file)
            return named
        key = secrets.token_urlsafe(32)
        self._lepton().delete_secret(name)
        self._lepton().create_secret(name, key)
        Secrets({"SNAKEVAL_API_KEY": key}, {}).write(file)
        return name

    def _first_record(self, deployment: Deployment, name: str) -> ServerRecord:
        own, now = deployment.options.get("lepton_config") or {}, time.time()
        return ServerRecord(
            state=ServerState.PENDING,
            server_id=secrets.token_hex(8),
            definition=self.definition(deployment),
            restarts=0,
            endpoint=name,
            min_replicas=own.get("min_replicas") or self._config.execution.options["min_replicas"],
            named_token=named_token(deployment, self._config.execution),
            started_at=now,
            updated_at=now,
        )

    def _ask_for(self, deployment: Deployment) -> None:
        record = self._first_record(deployment, endpoint_name(run_owner(self._paths), self._config.run, deployment))
        reason = "waiting for the Snakemake that owns the run to start it: there is no token here"
        self._write(replace(record, wanted=True, reason=reason), deployment.name)

    def _write(self, record: ServerRecord, deployment: str) -> None:
        paths = self._paths.server(deployment)
        with locked(paths.state_lock):
            record.write(paths.state)

    def _change(self, deployment: str, before: ServerRecord, now: ServerRecord) -> None:
        """Bring what differs between two states of a record into the file, unless it is of another start by now."""
        paths = self._paths.server(deployment)
        with locked(paths.state_lock):
            latest = ServerRecord.read(paths.state)
            if latest is None or latest.server_id != before.server_id:
                return
            pairs = ((one.name, getattr(now, one.name)) for one in fields(now))
            changed = replace(latest, **{name: value for name, value in pairs if value != getattr(before, name)})
            if changed != latest:
                replace(changed, updated_at=time.time()).write(paths.state)

    def _keep_log(self, deployment: str, name: str) -> None:
        try:
            text = self._lepton().endpoint_log(name)
        except LeptonError:
            return
        if text:
            write_text(self._paths.server(deployment).log, text)

    def _lepton(self) -> Lepton:
        if self._client is None:
            self._client = Lepton()
        return self._client

    def _script(self, deployment: Deployment) -> str:
        paths = self._paths.server(deployment.name)
        placement = Placement(ANY_ADDRESS, ANY_ADDRESS, server_id="", platform_port=port_of(deployment))
        return render_launch_script(self._config.run, deployment, self._config.execution, paths, placement)
