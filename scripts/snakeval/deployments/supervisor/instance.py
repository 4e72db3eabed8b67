"""One instance: a step of the server's Slurm job on nodes of its own, with a supervisor of its own.

The instance's supervisor restarts a server that crashed. This module starts the step again when all of it was killed.
Facts about srun(1), squeue(1) and scancel(1): Slurm 22.05 and later.
"""

import os
import secrets
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from snakeval.run.paths import ServerPaths
from snakeval.run.server import ServerRecord, ServerState
from snakeval.system.files import last_lines
from snakeval.system.ports import AUTO, LOOPBACK
from snakeval.system.slurm import call

INSTANCE_VARIABLE = "SNAKEVAL_INSTANCE"
FIRST_NODE_VARIABLE = "SNAKEVAL_FIRST_NODE"
STEP_PREFIX = "snakeval-instance-"
END_PATIENCE_S = 5.0
CONNECT_TIMEOUT_S = 1.0
# A supervisor registers a dead server within a second; shared file systems may show it later.
SILENT_S = 15.0
LEFTOVER_PATIENCE_S = 30.0
LEFTOVER_POLL_S = 0.5
LONGEST_DELAY_S = 30.0
LOG_LINES = 5


@dataclass(frozen=True)
class InstanceSettings:
    """What all instances of a server have in common.

    Attributes:
        files: Of the deployment's server, the instances' among them.
        script: `launch.sh`, which the instance's supervisor runs as the server.
        supervisor: `scripts/programs/supervise.py`.
        nodes: Nodes of one instance.
        health_path: Path that answers 200 when the model is loaded.
        max_restarts: Times that a crashed server, and a killed step, is started again.
        readiness_timeout_s: Seconds from a start to the instance being ready.
        container_runtime: What starts the server's container, None for a server on the host.
    """

    files: ServerPaths
    script: Path
    supervisor: Path
    nodes: int
    health_path: str
    max_restarts: int
    readiness_timeout_s: float
    container_runtime: str | None = None


@dataclass
class Instance:
    """One instance and what has become of it.

    Attributes:
        number: From 0; instance `number` has the nodes of the job from `number * settings.nodes` on.
        settings: What it has in common with the others.
        restarts: Times that its step was started again.
        gone: Why it is given up, None while it is not.
    """

    number: int
    settings: InstanceSettings
    restarts: int = 0
    gone: str | None = None
    _step: "subprocess.Popen[bytes] | None" = None
    _server_id: str = ""
    _was_ready: bool = False
    _not_ready_since: float = 0.0
    _next_start: float = 0.0
    _notes: list[str] = field(default_factory=list)

    @property
    def files(self) -> ServerPaths:
        """Return its files."""
        return self.settings.files.instance(self.number)

    def start(self) -> None:
        """Start its step."""
        self._server_id = secrets.token_hex(8)
        self._not_ready_since = time.monotonic()
        # A supervisor of an earlier start that still lives sees that it has been replaced, and ends.
        ServerRecord(ServerState.PENDING, self._server_id).write(self.files.state)
        with self.files.log.open("ab") as log:
            self._step = subprocess.Popen(
                step_command(self.number, self.settings, self._server_id),
                env=os.environ | {INSTANCE_VARIABLE: str(self.number), FIRST_NODE_VARIABLE: str(self.first_node)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    @property
    def first_node(self) -> int:
        """Return which node of the job is its first one, from 0."""
        return self.number * self.settings.nodes

    def look(self) -> str | None:
        """Return where it answers, or None when it does not. When it is time, start its step again or give it up."""
        if self.gone is not None:
            return None
        if self._step is None:
            if time.monotonic() >= self._next_start:
                self.start()
            return None
        record = self._record()
        if self._step.poll() is not None:
            self._ended(f"its step ended with status {self._step.returncode}", record)
            return None
        is_ready = record is not None and record.state is ServerState.READY
        if record is not None and is_ready and record.host and record.port and listens(record.host, record.port):
            self._was_ready, self._not_ready_since = True, time.monotonic()
            return f"http://{record.host}:{record.port}"
        waited_s, limit_s = time.monotonic() - self._not_ready_since, self.settings.readiness_timeout_s
        if is_ready and waited_s > SILENT_S:
            # A living supervisor would have noticed: it is gone, and Slurm has not heard of it, or not yet.
            self.end()
            self._ended("nothing listens there any more", record)
        elif waited_s > limit_s:
            self.end()
            self._give_up(f"it was not ready within execution.readiness_timeout_s ({limit_s:.0f} s)")
        return None

    def end(self) -> None:
        """End its step; safe to call without one, and twice."""
        if self._step is None:
            return
        self._step.terminate()
        try:
            self._step.wait(timeout=END_PATIENCE_S)
        except subprocess.TimeoutExpired:
            # The step outlives its srun; should a part of it still live, it sees that it has been replaced.
            self._step.kill()
            self._step.wait()
        self._step = None

    def news(self) -> list[str]:
        """Return what has happened to it since the last call, for people."""
        notes, self._notes = self._notes, []
        return notes

    def epitaph(self) -> str:
        """Return why it is gone or not ready, and the last lines of its output."""
        why = f"instance {self.number}: {self.gone or 'not ready'}"
        return f"{why}; the end of {self.files.log}:\n{last_lines(self.files.log, LOG_LINES)}"

    def _record(self) -> ServerRecord | None:
        record = ServerRecord.read(self.files.state)
        return record if record is not None and record.server_id == self._server_id else None

    def _ended(self, event: str, record: ServerRecord | None) -> None:
        self._step = None
        if record is not None and record.state is ServerState.FAILED:
            self._give_up(record.reason or event)
        elif not self._was_ready or self.restarts >= self.settings.max_restarts:
            self._give_up(event)
        else:
            self._start_later(event)

    def _start_later(self, event: str) -> None:
        self.restarts += 1
        delay_s = min(2.0 ** (self.restarts - 1), LONGEST_DELAY_S)
        self._next_start = time.monotonic() + delay_s
        again = f"start {self.restarts} of {self.settings.max_restarts} more in {delay_s:.0f} s"
        self._notes.append(f"instance {self.number}: {event}; {again}")

    def _give_up(self, why: str) -> None:
        self.gone = why
        self._notes.append(f"instance {self.number} is given up: {why}")


def listens(host: str, port: int) -> bool:
    """Return whether somebody accepts connections there; a busy server does."""
    try:
        socket.create_connection((host, port), timeout=CONNECT_TIMEOUT_S).close()
    except OSError:
        return False
    return True


def step_command(number: int, settings: InstanceSettings, server_id: str) -> list[str]:
    """Return the srun command of an instance's step: its supervisor, alone on the first of its nodes.

    An instance that is alone on the router's own node listens on the loopback, the others on their node's address.
    """
    host = LOOPBACK if number == 0 and settings.nodes == 1 else AUTO
    # --overlap: steps of tasks (evaluate_in: allocation) and of the instance's other nodes run beside it.
    # Without --cpus-per-task or --exact a step has all that the job has on its node.
    srun = ["srun", f"--job-name={STEP_PREFIX}{number}", f"--relative={number * settings.nodes}", "--nodes=1"]
    srun += ["--ntasks=1", "--ntasks-per-node=1", "--overlap", "--export=ALL", "--input=none"]
    supervisor = [sys.executable, str(settings.supervisor), "--folder", str(settings.files.instance(number).folder)]
    supervisor += ["--server-id", server_id, "--host", host, "--advertise", host]
    supervisor += [f"--health-path={settings.health_path}", "--max-restarts", str(settings.max_restarts)]
    # Whether anybody uses the server is for the supervisor above the router to see.
    supervisor += ["--idle-timeout-s", "inf"]
    if settings.container_runtime is not None:
        supervisor += ["--container-runtime", settings.container_runtime]
    return [*srun, *supervisor, "--", "bash", str(settings.script)]


def end_leftovers(job_id: str) -> list[str]:
    """Cancel the steps of instances that an earlier start in this job has left; return those that do not go away.

    A step outlives its srun when that is killed, and stays on Slurm's books when Slurm's own process in it was killed.
    """
    deadline = time.monotonic() + LEFTOVER_PATIENCE_S
    question = ["squeue", "--steps", "--noheader", f"--job={job_id}", "--format=%i|%j"]
    while steps := leftover_steps(call(question).stdout):
        if time.monotonic() > deadline:
            return steps
        call(["scancel", *steps])
        time.sleep(LEFTOVER_POLL_S)
    return []


def leftover_steps(text: str) -> list[str]:
    """Return the ids of the instances' steps in `squeue --steps --format=%i|%j`."""
    rows = (line.strip().partition("|") for line in text.splitlines())
    return [step for step, _, name in rows if name.startswith(STEP_PREFIX)]
