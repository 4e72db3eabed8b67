"""Runs one server, watches it, and makes sure that nothing of it stays behind.

Started by `launch.sh` on the machine where the server lives, as a program of its own. It picks a port, starts the
server in a session of its own, registers address and state in `state.json`, restarts a server that had been ready
and crashed (bounded, with back-off), and ends it when nobody has used it for the idle time.
"""

import argparse
import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from snakeval.files import read_json, write_json
from snakeval.processes import end_processes, listens_on, start_time

POLL_S = 0.5
KILL_AFTER_S = 10.0
AUTO = "auto"
PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36


@dataclass
class Supervisor:
    """State of one supervised server; see the module's docstring."""

    folder: Path
    server_id: str
    host: str
    advertise: str
    fixed_port: int | None
    health_path: str | None
    idle_timeout_s: float
    max_restarts: int
    command: list[str]
    generation: int = 0
    restarts: int = 0
    port: int = 0
    started_at: float = field(default_factory=time.time)
    process: subprocess.Popen[bytes] | None = None
    stopping: str | None = None

    def run(self) -> int:
        """Supervise until the server has ended for good; return the exit status (0 = asked to end or idle)."""
        try:
            return self._supervise()
        finally:
            (self.folder / "secrets.json").unlink(missing_ok=True)

    def _supervise(self) -> int:
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._on_signal)
        while True:
            self._start()
            reason, was_ready = self._watch()
            self._end_server()
            if self.stopping is not None:
                self._register("STOPPED", self.stopping)
                return 0
            if not was_ready or self.restarts >= self.max_restarts:
                self._register("FAILED", reason)
                _say(f"server failed: {reason}")
                return 1
            self.restarts += 1
            delay_s = min(2.0 ** (self.restarts - 1), 30.0)
            _say(f"{reason}; restart {self.restarts} of {self.max_restarts} in {delay_s:.0f} s")
            self._register("STARTING", reason)
            time.sleep(delay_s)
            if self.stopping is not None:
                self._register("STOPPED", self.stopping)
                return 0

    def _start(self) -> None:
        self.generation += 1
        if self.fixed_port is not None:
            self.port = self.fixed_port
        elif self.port == 0 or not _is_free(self.host, self.port):
            self.port = _free_port(self.host)
        environment = os.environ | self._secret_environment()
        environment |= {
            "SNAKEVAL_SUPERVISED": "1",
            "SNAKEVAL_SERVER_ID": self.server_id,
            "SNAKEVAL_HOST": self.host,
            "SNAKEVAL_PORT": str(self.port),
        }
        self.process = subprocess.Popen(
            self.command, env=environment, start_new_session=True, preexec_fn=_die_with_parent
        )
        _say(f"start {self.generation}: process {self.process.pid}, {self.host}:{self.port}")
        self._register("STARTING", None)

    def _secret_environment(self) -> dict[str, str]:
        secrets = read_json(self.folder / "secrets.json") or {}
        environment = dict(secrets.get("environment", {}))
        for name, source in secrets.get("runtime", {}).items():
            if source not in os.environ:
                raise SystemExit(f"error: environment variable {source} is not set where the server runs")
            environment[name] = os.environ[source]
        return environment

    def _watch(self) -> tuple[str, bool]:
        """Wait until the server has ended or has to end; return the reason and whether it had been ready."""
        assert self.process is not None
        ready, used, seen = False, time.monotonic(), self._claims()
        while self.stopping is None:
            status = self.process.poll()
            if status is not None:
                return _describe_exit(status), ready
            if not ready and self._is_healthy():
                ready, used = True, time.monotonic()
                self._register("READY", None)
                _say(f"ready on {self.advertise}:{self.port}")
            claims = self._claims()
            if claims != seen:
                used, seen = time.monotonic(), claims
            if time.monotonic() - used > self.idle_timeout_s:
                self.stopping = f"idle for {self.idle_timeout_s:.0f} s"
            time.sleep(POLL_S)
        return self.stopping, ready

    def _claims(self) -> dict[str, int]:
        folder = self.folder / "claims"
        try:
            return {entry.name: entry.stat().st_mtime_ns for entry in os.scandir(folder)}
        except FileNotFoundError:
            return {}

    def _is_healthy(self) -> bool:
        assert self.process is not None
        if not listens_on(self.process.pid, self.port):
            return False
        if self.health_path is None:
            return True
        url = f"http://{_connectable(self.host)}:{self.port}{self.health_path}"
        try:
            with urllib.request.urlopen(url, timeout=5) as response:
                return bool(response.status == 200)
        except (OSError, urllib.error.URLError, ValueError):
            return False

    def _end_server(self) -> None:
        assert self.process is not None
        children = psutil.Process().children(recursive=True)
        end_processes(children, KILL_AFTER_S)
        self.process.wait(timeout=KILL_AFTER_S)

    def _register(self, state: str, reason: str | None) -> None:
        server = self.process.pid if self.process else None
        record: dict[str, Any] = {
            "state": state,
            "reason": reason,
            "server_id": self.server_id,
            "generation": self.generation,
            "restarts": self.restarts,
            "host": self.advertise,
            "port": self.port,
            "machine": socket.gethostname(),
            "pid": server,
            "supervisor_pid": os.getpid(),
            "supervisor_start": start_time(os.getpid()),
            "started_at": self.started_at,
            "updated_at": time.time(),
        }
        if state == "READY":
            record["ready_at"] = time.time()
        previous = read_json(self.folder / "state.json") or {}
        if previous.get("server_id") == self.server_id:
            record = previous | record
        write_json(self.folder / "state.json", record)

    def _on_signal(self, number: int, _frame: object) -> None:
        self.stopping = f"stopped by {signal.Signals(number).name}"


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def _say(message: str) -> None:
    print(f"[supervisor {time.strftime('%Y-%m-%d %H:%M:%S')}] {message}", flush=True)


def _describe_exit(status: int) -> str:
    if status < 0:
        return f"the server was killed by {signal.Signals(-status).name}"
    return f"the server ended with status {status}"


def _connectable(host: str) -> str:
    return "127.0.0.1" if host in ("", "0.0.0.0") else host


def _free_port(host: str) -> int:
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


def _is_free(host: str, port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
        return True


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
    parser.add_argument("command", nargs="+", help="the server's command, after --")
    given = parser.parse_args()
    own = socket.gethostbyname(socket.gethostname())
    supervisor = Supervisor(
        folder=given.folder,
        server_id=given.server_id,
        host=own if given.host == AUTO else given.host,
        advertise=own if given.advertise == AUTO else given.advertise,
        fixed_port=given.port,
        health_path=given.health_path,
        idle_timeout_s=given.idle_timeout_s,
        max_restarts=given.max_restarts,
        command=given.command,
    )
    return supervisor.run()


if __name__ == "__main__":
    sys.exit(main())
