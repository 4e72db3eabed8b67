"""Runs one server, watches it, and makes sure that nothing of it stays behind.

`launch.sh` starts it on the machine where the server lives, as a program of its own. It picks a port and starts the
server in a session of its own. It registers address and state in `state.json`. It restarts a server that had been ready
and crashed (bounded, with back-off). It ends the server when nobody has used it for the idle time. In a Slurm job it
takes the warning before the time limit (SIGUSR1): no new task begins, and the job goes back into the queue.
"""

import argparse
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field, replace
from pathlib import Path

from snakeval.deployments.supervisor.batchjob import BatchJob, Walltime
from snakeval.deployments.supervisor.family import Family, become_subreaper, describe_end, ended_within
from snakeval.run.paths import ServerPaths
from snakeval.run.server import Registration, Secrets, ServerState, is_in_use
from snakeval.system.ports import AUTO, HeldPort, connectable, hold_free_port, hold_port
from snakeval.system.processes import Mark, start_time

POLL_S = 0.5
KILL_AFTER_S = 10.0
ALIVE_S = 2.0
SUPERSEDED = "a newer start has taken its place"
# A proxy that the environment names does not reach a server of this machine.
DIRECTLY = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@dataclass
class Supervisor:
    """State of one supervised server; see the module's docstring."""

    files: ServerPaths
    host: str
    advertise: str
    fixed_port: int | None
    health_path: str | None
    idle_timeout_s: float
    max_restarts: int
    command: list[str]
    registration: Registration
    walltime: Walltime
    family: Family
    secrets: Secrets | None
    generation: int
    image: str | None
    restarts: int = 0
    port: int = 0
    held: HeldPort | None = None
    started_at: float = field(default_factory=time.time)
    process: subprocess.Popen[bytes] | None = None
    stopping: str | None = None
    final_state: ServerState = ServerState.STOPPED

    def run(self) -> int:
        """Supervise until the server has ended for good; return the exit status (0 = asked to end or idle)."""
        become_subreaper()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._on_signal)
        signal.signal(signal.SIGUSR1, self.walltime.on_warning)
        status = self._supervise()
        # The next incarnation of a requeued job reads them again.
        comes_back = self.final_state in (ServerState.PENDING, ServerState.DRAINING)
        if not comes_back and not self.registration.is_superseded():
            self.files.secrets.unlink(missing_ok=True)
        return status

    def _supervise(self) -> int:
        while True:
            self._start()
            reason, was_ready = self._watch()
            comes_back = self.stopping is None and was_ready and self.restarts < self.max_restarts
            if comes_back:
                # Whoever got the port now would be asked by those who have not heard yet that the server is gone.
                self.held = hold_port(self.host, self.port)
                self.restarts += 1
                self._register(ServerState.STARTING, reason)
            elif self.stopping is not None and self.final_state == ServerState.PENDING:
                # Tasks see it before the server is gone, and wait instead of failing.
                self._register(self.final_state, self.stopping)
            self._end_server()
            if comes_back:
                self._pause(reason)
            elif self.stopping is None:
                self.stopping, self.final_state = reason, ServerState.FAILED
            if self.stopping is not None:
                return self._finish(self.stopping)

    def _pause(self, reason: str) -> None:
        delay_s = min(2.0 ** (self.restarts - 1), 30.0)
        _say(f"{reason}; restart {self.restarts} of {self.max_restarts} in {delay_s:.0f} s")
        again = time.monotonic() + delay_s
        while time.monotonic() < again and self.stopping is None:
            self.held = self.held or hold_port(self.host, self.port)
            if self.registration.is_superseded():
                self.stopping = SUPERSEDED
            time.sleep(POLL_S)

    def _finish(self, reason: str) -> int:
        self._register(self.final_state, reason)
        _say(f"server {'failed' if self.final_state == ServerState.FAILED else 'ended'}: {reason}")
        if self.final_state == ServerState.PENDING:
            refusal = self.walltime.requeue()
            if refusal is not None:
                self.final_state = ServerState.FAILED
                self._register(self.final_state, f"its job could not be requeued: {refusal}")
        return 1 if self.final_state == ServerState.FAILED else 0

    def _start(self) -> None:
        if self.held is None and self.fixed_port is None:
            self.held = hold_free_port(self.host)
        self.port = self.held.port if self.held is not None else self.fixed_port or 0
        self.generation += 1
        self._renew_key()
        environment = os.environ | self._secret_environment()
        environment |= {"SNAKEVAL_SUPERVISED": "1", "SNAKEVAL_HOST": self.host, "SNAKEVAL_PORT": str(self.port)}
        if self.held is not None:
            self.held.release()
            self.held = None
        self.process = self.family.start(self.command, environment)
        _say(f"start {self.generation}: process {self.process.pid}, {self.host}:{self.port}")
        self._register(ServerState.STARTING, None)

    def _renew_key(self) -> None:
        """Give the next process a key of its own, on record before it starts."""
        if self.secrets is not None and not self.registration.is_superseded():
            self.secrets = self.secrets.renewed(self.generation)
            self.secrets.write(self.files.secrets)

    def _secret_environment(self) -> dict[str, str]:
        secrets = self.secrets or Secrets({}, {})
        environment = dict(secrets.environment)
        for name, source in secrets.runtime.items():
            if source not in os.environ:
                raise SystemExit(f"error: environment variable {source} is not set where the server runs")
            environment[name] = os.environ[source]
        return environment

    def _watch(self) -> tuple[str, bool]:
        """Wait until the server has ended or has to end; return the reason and whether it had been ready."""
        assert self.process is not None
        ready, draining, used, seen = False, False, time.monotonic(), self._claims()
        owned, beat, said = time.monotonic(), self._beat(), 0.0
        while self.stopping is None:
            status = self.process.poll()
            if status is not None:
                return describe_end(status), ready
            if not ready and self._is_healthy():
                ready, used = True, time.monotonic()
                self.image = self.family.image()
                self._register(ServerState.READY, None)
                _say(f"ready on {self.advertise}:{self.port}")
            elif ready and time.monotonic() - said > ALIVE_S:
                said = time.monotonic()
                self._say_alive()
            claims = self._claims()
            if claims != seen:
                used, seen = time.monotonic(), claims
            now = self._beat()
            if now is None or now != beat:
                owned, beat = time.monotonic(), now
            if time.monotonic() - used > self.idle_timeout_s:
                self.stopping = f"idle for {self.idle_timeout_s:.0f} s"
            elif time.monotonic() - owned > self.idle_timeout_s:
                self.stopping = f"no sign of life of Snakemake for {self.idle_timeout_s:.0f} s"
            elif self.registration.is_superseded():
                self.stopping = SUPERSEDED
            elif self.walltime.is_near and not draining:
                draining = True
                _say("the job's time is nearly over: no new task begins here")
                self._register(ServerState.DRAINING, "its job's time is nearly over")
            elif draining and (self.walltime.is_over or not is_in_use(self.files)):
                self.stopping, self.final_state = self.walltime.ending(bool(self.files.leases))
            ended_within(self.process, POLL_S)
        return self.stopping, ready

    def _claims(self) -> dict[str, int]:
        try:
            return {entry.name: entry.stat().st_mtime_ns for entry in os.scandir(self.files.claims)}
        except FileNotFoundError:
            return {}

    def _beat(self) -> int | None:
        """Return the latest sign of life of the Snakemake that owns the run, None when nobody does."""
        try:
            return self.files.run.session.stat().st_mtime_ns
        except OSError:
            return None

    def _say_alive(self) -> None:
        """Write that the server lives and listens: connections that were made before this moment lead to it."""
        now = time.time()
        if self.family.listens_on(self.port):
            self.registration.beat(now)

    def _is_healthy(self) -> bool:
        assert self.process is not None
        if not self.family.listens_on(self.port):
            return False
        if self.health_path is None:
            return True
        url = f"http://{connectable(self.host)}:{self.port}{self.health_path}"
        try:
            with DIRECTLY.open(url, timeout=5) as response:
                return bool(response.status == 200)
        except (OSError, urllib.error.URLError, ValueError):
            return False

    def _end_server(self) -> None:
        assert self.process is not None
        for complaint in self.family.end(KILL_AFTER_S):
            _say(complaint)
        self.process.wait(timeout=KILL_AFTER_S)

    def _register(self, state: ServerState, reason: str | None) -> None:
        before = self.registration.previous()
        self.registration.write(
            replace(
                before,
                state=state,
                reason=reason,
                generation=self.generation,
                pid=self.process.pid if self.process else before.pid,
                restarts=self.restarts,
                host=self.advertise,
                port=self.port,
                image=self.image,
                started_at=self.started_at,
                used_s=self.walltime.used_s,
            )
        )

    def _on_signal(self, number: int, _frame: object) -> None:
        self.stopping = f"stopped by {signal.Signals(number).name}"
        if self.walltime.comes_back:
            # Cancelled or put back into the queue: only Slurm knows, and the backend asks it.
            self.final_state = ServerState.DRAINING
            self._register(self.final_state, self.stopping)


def _say(message: str) -> None:
    print(f"[supervisor {time.strftime('%Y-%m-%d %H:%M:%S')}] {message}", flush=True)


def main() -> int:
    """Parse the command line that `launch.sh` gives, and supervise."""
    parser = argparse.ArgumentParser(description="Run and watch one model server (started by launch.sh).")
    parser.add_argument("--folder", type=Path, required=True, help="folder of the server's files")
    parser.add_argument("--server-id", required=True, help="identifies this start in the environment of its processes")
    parser.add_argument("--host", required=True, help="address to bind, auto for this machine's")
    parser.add_argument("--advertise", required=True, help="host name or address under which others reach it")
    parser.add_argument("--port", type=int, help="fixed port; without it a free one is taken")
    parser.add_argument("--health-path", help="path that answers 200 when the model is loaded")
    parser.add_argument("--idle-timeout-s", type=float, required=True, help="end after this long without use")
    parser.add_argument("--max-restarts", type=int, required=True, help="restarts of a server that had been ready")
    parser.add_argument("--requeue", action="store_true", help="put the job back into the queue when its time is over")
    parser.add_argument("--drain-s", type=float, default=0.0, help="how long before its end the job gets SIGUSR1")
    parser.add_argument("--max-walltime-s", type=float, help="time of all incarnations of the job together")
    parser.add_argument("--container-runtime", help="what the command starts the server's container with")
    parser.add_argument("command", nargs="+", help="the server's command, after --")
    given = parser.parse_args()
    own = socket.gethostbyname(socket.gethostname())
    job = BatchJob.of_environment(os.environ)
    files, began = ServerPaths(given.folder), start_time(os.getpid())
    registration = Registration(files.state, given.server_id, job.restarts if job else 0, began)
    before = registration.previous()
    supervisor = Supervisor(
        files=files,
        host=own if given.host == AUTO else given.host,
        advertise=own if given.advertise == AUTO else given.advertise,
        fixed_port=given.port,
        health_path=given.health_path,
        idle_timeout_s=given.idle_timeout_s,
        max_restarts=given.max_restarts,
        command=given.command,
        registration=registration,
        walltime=Walltime(job, given.requeue, given.drain_s, given.max_walltime_s, before.used_s or 0.0),
        family=Family(Mark.of(files.folder, given.server_id), given.container_runtime),
        secrets=Secrets.read(files.secrets),
        generation=before.generation,
        image=before.image,
    )
    return supervisor.run()


if __name__ == "__main__":
    sys.exit(main())
