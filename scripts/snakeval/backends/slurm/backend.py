"""Servers as Slurm jobs of their own, each under a supervisor inside the job."""

import os
import secrets
import time
from dataclasses import replace

from snakeval.backends.handover import write_secrets
from snakeval.backends.slurm.options import job_name, sbatch_options, seconds, supervisor_options
from snakeval.backends.slurm.queue import BY_SLURM, QUERY_EVERY_S, JobRow, SharedQueue, joined, query
from snakeval.config.model import Config, Deployment
from snakeval.deployments.instances import server_locks
from snakeval.deployments.launch import Placement, render_launch_script
from snakeval.errors import DeploymentError
from snakeval.run.paths import RunPaths
from snakeval.run.server import Server, ServerRecord, ServerState, mark_stopped
from snakeval.system.environments import ensure_environment
from snakeval.system.files import last_lines, write_text
from snakeval.system.hashing import sha256_hex
from snakeval.system.polling import rounds
from snakeval.system.ports import AUTO, LOOPBACK
from snakeval.system.processes import SESSION_VARIABLE
from snakeval.system.slurm import call

STOP_PATIENCE_S = 60.0
LAST_WORD_S = 15.0


class SlurmBackend:
    """See `Backend`."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._paths = RunPaths(config.folder)
        beside = config.execution.options["evaluate_in"] == "allocation"
        # Tasks run beside the server that they evaluate; auxiliary ones are elsewhere, in jobs of their own.
        self._beside = {one.name for one in config.deployments} if beside else set()
        names = [self._job_name(one.name) for one in config.served]
        self._queue = SharedQueue(self._paths.queue, names)
        self._unanswered = float("-inf")

    def definition(self, deployment: Deployment) -> str:
        """Hash the launch script without what differs from start to start."""
        return sha256_hex(self._script(deployment, ""), 16)

    def start(self, deployment: Deployment) -> None:
        """Render launch.sh and submit it; Slurm's own words reach the user when it is refused."""
        paths = self._paths.server(deployment.name)
        used_s = self._used_s(deployment.name)
        for lock in server_locks(deployment, self._config.execution):
            ensure_environment(lock)
        server_id = secrets.token_hex(8)
        write_text(paths.launch_script, self._script(deployment, server_id), mode=0o755)
        write_secrets(paths.secrets, deployment)
        paths.claims.mkdir(exist_ok=True)
        now = time.time()
        record = ServerRecord(
            state=ServerState.PENDING,
            server_id=server_id,
            definition=self.definition(deployment),
            session=os.environ.get(SESSION_VARIABLE, ""),
            used_s=used_s,
            started_at=now,
            updated_at=now,
        )
        record.write(paths.state)
        done = call(["sbatch", "--parsable", "--hold", str(paths.launch_script.absolute())])
        if done.returncode != 0:
            replace(record, state=ServerState.FAILED, reason="refused by sbatch").write(paths.state)
            paths.secrets.unlink(missing_ok=True)
            raise DeploymentError(f"sbatch refused the server of {deployment.name}: {done.stderr.strip()}")
        job_id = done.stdout.strip().split(";")[0]
        # Held until its id is on record, so that nobody can lose a job that runs.
        replace(record, job_id=job_id, submitted_at=time.time()).write(paths.state)
        released = call(["scontrol", "release", job_id])
        if released.returncode != 0:
            self.stop(deployment.name)
            raise DeploymentError(f"Slurm job {job_id} of {deployment.name} could not be released: {released.stderr}")
        self._queue.forget()

    def state(self, deployment: str) -> Server:
        """Join what Slurm says of the job with what the supervisor has registered from inside it."""
        record = ServerRecord.read(self._paths.server(deployment).state)
        if record is None:
            return Server(ServerState.STOPPED)
        rows = None if record.state.is_over else self._rows(record.submitted_at or 0.0)
        allocation = record.job_id if deployment in self._beside else None
        if rows is None:
            return replace(record.seen_as(record.state, record.reason), allocation=allocation)
        row = rows.get(record.job_id or "")
        server = record.seen_as(*joined(record, row))
        restarts = row.restarts if row else 0
        return replace(server, incarnation=max(server.incarnation, restarts), allocation=allocation)

    def stop(self, deployment: str) -> None:
        """Cancel the job and wait until it has left the queue."""
        paths = self._paths.server(deployment)
        if paths.state.exists():
            self._cancel(self._job_name(deployment))
            mark_stopped(paths.state)
        paths.secrets.unlink(missing_ok=True)

    def log_tail(self, deployment: str) -> str:
        """Return the last lines of server.log."""
        return last_lines(self._paths.server(deployment).log)

    def cause(self, deployment: str, known: str | None) -> str | None:
        """Ask Slurm whether it, or somebody by it, has ended the job, and wait until it has."""
        record = ServerRecord.read(self._paths.server(deployment).state)
        if record is None or not record.job_id:
            return known
        for _ in rounds(1.0, LAST_WORD_S):
            rows = self._rows(record.submitted_at or 0.0)
            row = rows.get(record.job_id) if rows else None
            if row is None or row.has_ended:
                return joined(record, row)[1] if row and row.state in BY_SLURM else known
        return known

    def _used_s(self, deployment: str) -> float:
        """Return the seconds that the servers of this deployment have had in this call of Snakemake.

        Raises:
            DeploymentError: they are all that execution.max_walltime allows.
        """
        limit = self._config.execution.options["max_walltime"]
        record = ServerRecord.read(self._paths.server(deployment).state)
        if limit is None or record is None or record.session != os.environ.get(SESSION_VARIABLE, ""):
            return 0.0
        used_s = record.used_s or 0.0
        if used_s >= seconds(limit):
            raise DeploymentError(
                f"the servers of {deployment} have had {used_s:.0f} s, all that execution.max_walltime ({limit}) "
                "allows; what was answered is kept, and the same command goes on with the rest"
            )
        return used_s

    def _cancel(self, name: str) -> None:
        jobs, cancelled = set[str](), set[str]()
        for _ in rounds(0.5, STOP_PATIENCE_S):
            jobs = {row.job_id for row in query([name]).values() if row.name == name and not row.has_ended}
            if not jobs:
                self._queue.forget()
                return
            if jobs - cancelled:
                call(["scancel", *sorted(jobs - cancelled)])
                cancelled |= jobs
        raise DeploymentError(f"Slurm jobs {', '.join(sorted(jobs))} do not end")

    def _script(self, deployment: Deployment, server_id: str) -> str:
        paths = self._paths.server(deployment.name)
        execution = self._config.execution
        # Tasks beside the server need no more than its loopback.
        host = LOOPBACK if deployment.name in self._beside else AUTO
        placement = Placement(
            host=host,
            advertise=host,
            server_id=server_id,
            batch_options=tuple(sbatch_options(self._job_name(deployment.name), execution, paths.log)),
            supervisor_options=tuple(supervisor_options(execution)),
        )
        return render_launch_script(self._config.run, deployment, execution, paths, placement)

    def _job_name(self, deployment: str) -> str:
        return job_name(self._paths.root, self._config.run, deployment)

    def _rows(self, since: float) -> dict[str, JobRow] | None:
        """Return the jobs of the run, None when Slurm cannot be asked: a controller that restarts says nothing."""
        # Asked once for all servers, also when it costs the whole timeout to learn nothing.
        if time.monotonic() - self._unanswered < QUERY_EVERY_S:
            return None
        try:
            return self._queue.rows(since)
        except DeploymentError:
            self._unanswered = time.monotonic()
            return None
