"""Servers as Slurm jobs of their own, each under a supervisor inside the job.

Facts about Slurm's commands: sbatch(1), squeue(1), scancel(1) of 22.05 and later.
"""

import hashlib
import secrets
import subprocess
import time
from dataclasses import dataclass

from snakeval.backends import Server, ServerState
from snakeval.backends.handover import clean_environment, write_secrets
from snakeval.config.model import Config, Deployment, Execution
from snakeval.deployment_types import environment_lock
from snakeval.environments import ensure_environment
from snakeval.errors import DeploymentError
from snakeval.files import last_lines, read_json, write_json, write_text
from snakeval.launch import Placement, render_launch_script
from snakeval.paths import RunPaths

COMMAND_TIMEOUT_S = 60
QUERY_EVERY_S = 3.0
STOP_PATIENCE_S = 60.0
WARN_BEFORE_END_S = 60
AUTO_HOST = "auto"
WAITING = ("PENDING", "CONFIGURING", "REQUEUED", "REQUEUE_HOLD", "REQUEUE_FED", "SUSPENDED", "RESV_DEL_HOLD")
# Reasons for which Slurm keeps a job in the queue that it can never start (squeue(1), JOB REASON CODES).
HOPELESS = (
    "BadConstraints",
    "InvalidAccount",
    "InvalidQOS",
    "PartitionNodeLimit",
    "PartitionTimeLimit",
    "JobHeldAdmin",
)
ENDING = ("COMPLETING", "COMPLETED", "CANCELLED", "FAILED", "TIMEOUT", "PREEMPTED", "NODE_FAIL", "OUT_OF_MEMORY")


@dataclass(frozen=True)
class JobRow:
    """One line of squeue."""

    job_id: str
    state: str
    reason: str
    name: str


def parse_squeue(text: str) -> dict[str, JobRow]:
    """Return the jobs of `squeue --format=%i|%T|%r|%j` by their id; lines of another form are left out."""
    rows = {}
    for line in text.splitlines():
        parts = line.strip().split("|", 3)
        if len(parts) == 4 and parts[0]:
            rows[parts[0]] = JobRow(*parts)
    return rows


def sbatch_options(run: str, deployment: Deployment, execution: Execution, log: str) -> list[str]:
    """Return the options of the job, one for each `#SBATCH` line."""
    own = execution.options
    named = {
        "account": own["account"],
        "partition": own["partition"],
        "qos": own["qos"],
        "constraint": own["constraint"],
        "reservation": own["reservation"],
        "nodes": own["num_nodes"],
        "ntasks-per-node": own["ntasks_per_node"],
        "gres": own["gres"],
        "gpus-per-node": own["gpus_per_node"],
        "cpus-per-task": own["cpus_per_task"],
        "mem": f"{own['mem_gb']}G" if own["mem_gb"] else None,
        "time": own["walltime"],
        "comment": own["sbatch_comment"],
        "output": log,
    }
    options = [f"--job-name={job_name(run, deployment.name)}", "--open-mode=append"]
    # A job that Slurm requeued by itself would run beside the one that a retry submits.
    options.append("--no-requeue")
    # The supervisor is the batch script itself: the warning before the time limit goes to it.
    options.append(f"--signal=B:TERM@{WARN_BEFORE_END_S}")
    options += [f"--{name}={value}" for name, value in named.items() if value is not None]
    for name, value in own["sbatch_extra_flags"].items():
        if value is True:
            options.append(f"--{name}")
        elif value not in (False, None):
            options.append(f"--{name}={value}")
    return options


def job_name(run: str, deployment: str) -> str:
    """Return the name of a server's job; it finds the job even when its id was never recorded."""
    return f"snakeval-{run}-{deployment}"


class SlurmBackend:
    """See `Backend`."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._paths = RunPaths(config.execution.output_dir / config.run)
        self._queried = 0.0
        self._rows: dict[str, JobRow] | None = None

    def definition(self, deployment: Deployment) -> str:
        """Hash the launch script without what differs from start to start."""
        return hashlib.sha256(self._script(deployment, "").encode()).hexdigest()[:16]

    def start(self, deployment: Deployment) -> None:
        """Render launch.sh and submit it; Slurm's own words reach the user when it is refused."""
        paths = self._paths.server(deployment.name)
        lock = environment_lock(deployment)
        if lock is not None:
            ensure_environment(lock)
        server_id = secrets.token_hex(8)
        write_text(paths.launch_script, self._script(deployment, server_id), mode=0o755)
        write_secrets(paths.secrets, deployment)
        paths.claims.mkdir(exist_ok=True)
        record = {
            "state": "PENDING",
            "reason": None,
            "server_id": server_id,
            "definition": self.definition(deployment),
            "generation": 0,
            "job_id": None,
            "started_at": time.time(),
            "updated_at": time.time(),
        }
        write_json(paths.state, record)
        done = _call(["sbatch", "--parsable", "--hold", str(paths.launch_script.absolute())])
        if done.returncode != 0:
            write_json(paths.state, record | {"state": "FAILED", "reason": "refused by sbatch"})
            paths.secrets.unlink(missing_ok=True)
            raise DeploymentError(f"sbatch refused the server of {deployment.name}: {done.stderr.strip()}")
        job_id = done.stdout.strip().split(";")[0]
        # Held until its id is on record, so that nobody can lose a job that runs.
        write_json(paths.state, record | {"job_id": job_id})
        released = _call(["scontrol", "release", job_id])
        if released.returncode != 0:
            self.stop(deployment.name)
            raise DeploymentError(f"Slurm job {job_id} of {deployment.name} could not be released: {released.stderr}")
        self._rows = None

    def state(self, deployment: str) -> Server:
        """Join what Slurm says of the job with what the supervisor has registered from inside it."""
        record = read_json(self._paths.server(deployment).state)
        if record is None:
            return Server(ServerState.STOPPED)
        state, reason = ServerState(record["state"]), record.get("reason")
        if state not in (ServerState.STOPPED, ServerState.FAILED) and self._answers():
            row = self._row(record.get("job_id"))
            if row is None:
                state, reason = ServerState.FAILED, f"its Slurm job {record.get('job_id')} is gone"
            elif row.state in WAITING and row.reason in HOPELESS:
                state, reason = ServerState.FAILED, f"its Slurm job {row.job_id} can never start: {row.reason}"
            elif row.state in WAITING:
                state, reason = ServerState.PENDING, row.reason
            elif row.state in ENDING:
                state, reason = ServerState.FAILED, f"its Slurm job {row.job_id} is {row.state}"
            elif state is ServerState.PENDING:
                state = ServerState.STARTING
        return Server.of_record(record, state, reason)

    def stop(self, deployment: str) -> None:
        """Cancel the job and wait until it has left the queue."""
        paths = self._paths.server(deployment)
        record = read_json(paths.state)
        if record is not None:
            self._cancel(job_name(self._config.run, deployment))
            latest = read_json(paths.state) or record
            if latest["state"] not in (ServerState.STOPPED, ServerState.FAILED):
                write_json(paths.state, latest | {"state": "STOPPED", "reason": "stopped", "updated_at": time.time()})
        paths.secrets.unlink(missing_ok=True)

    def log_tail(self, deployment: str) -> str:
        """Return the last lines of server.log."""
        return last_lines(self._paths.server(deployment).log)

    def _cancel(self, name: str) -> None:
        deadline = time.monotonic() + STOP_PATIENCE_S
        cancelled: set[str] = set()
        while jobs := {row.job_id for row in self._query().values() if row.name == name}:
            if jobs - cancelled:
                _call(["scancel", *sorted(jobs - cancelled)])
                cancelled |= jobs
            if time.monotonic() > deadline:
                raise DeploymentError(f"Slurm jobs {', '.join(sorted(jobs))} do not end")
            time.sleep(0.5)
        self._rows = None

    def _script(self, deployment: Deployment, server_id: str) -> str:
        paths = self._paths.server(deployment.name)
        execution = self._config.execution
        header = sbatch_options(self._config.run, deployment, execution, str(paths.log.absolute()))
        placement = Placement(AUTO_HOST, AUTO_HOST, server_id, tuple(header))
        return render_launch_script(self._config.run, deployment, execution, paths, placement)

    def _row(self, job_id: str | None) -> JobRow | None:
        if self._rows is None or time.monotonic() - self._queried > QUERY_EVERY_S:
            self._rows = self._query()
            self._queried = time.monotonic()
        return self._rows.get(job_id or "")

    def _answers(self) -> bool:
        """Whether Slurm can be asked right now; a controller that restarts says nothing about the servers."""
        try:
            self._row(None)
        except DeploymentError:
            return False
        return True

    def _query(self) -> dict[str, JobRow]:
        """Ask for all server jobs of the run at once.

        Raises:
            DeploymentError: Slurm does not answer; that says nothing about the servers.
        """
        names = ",".join(job_name(self._config.run, one.name) for one in self._config.deployments)
        done = _call(["squeue", "--noheader", f"--name={names}", "--format=%i|%T|%r|%j"])
        if done.returncode != 0:
            raise DeploymentError(f"squeue does not answer: {done.stderr.strip()}")
        return parse_squeue(done.stdout)


def _call(command: list[str]) -> "subprocess.CompletedProcess[str]":
    """Run one of Slurm's commands, free of what an enclosing job has set."""
    try:
        return subprocess.run(
            command, env=clean_environment(), capture_output=True, text=True, timeout=COMMAND_TIMEOUT_S, check=False
        )
    except FileNotFoundError:
        raise DeploymentError(f"{command[0]} is not on PATH: is this a login node of the cluster?") from None
    except subprocess.TimeoutExpired:
        raise DeploymentError(f"{command[0]} did not answer within {COMMAND_TIMEOUT_S} s") from None
