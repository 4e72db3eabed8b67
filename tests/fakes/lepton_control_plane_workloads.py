"""Workloads of the stand-in control plane: jobs are local processes, endpoints real servers behind a checking proxy.

There are no containers: images are only looked at for faults, mounts are taken as they are (the path inside is the path
outside), and the environment is built anew, so that what leaks from the caller's environment is noticed.

Faults, by value, so that they work through every client: an image whose name holds `nopull` is never pulled; a shape
that ends in `.nocap` never finds room, one that ends in `.quota` is refused; the job of an image that holds `vanish` is
forgotten as soon as it runs. A server that ends is started again, as often as it ends.
"""

import contextlib
import os
import signal
import socket
import subprocess
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fakes.lepton_control_plane_proxy import Proxy

POLL_S = 0.05
RESTART_DELAYS_S = (0.1, 0.2, 0.4, 1.0, 2.0)
Json = dict[str, Any]


class Refused(Exception):
    """The API says no: a status and what stands in the body."""

    def __init__(self, status: int, code: str, message: str) -> None:
        self.status = status
        self.body = {"code": code, "message": message}
        super().__init__(message)


def issue(reason: str, message: str = "") -> Json:
    """Return a readiness issue of a replica."""
    return {"reason": reason, "message": message, "creationTimestamp": "2026-01-01T00:00:00Z"}


@dataclass
class Workload:
    """What jobs and endpoints share: a process in a session of its own, its output, and why it does not run."""

    name: str
    spec: Json
    environment: dict[str, str]
    log: Path = field(default_factory=lambda: Path(tempfile.mkstemp(prefix="lepton-", suffix=".log")[1]))
    process: "subprocess.Popen[bytes] | None" = None
    problem: Json | None = None
    created_at: int = field(default_factory=lambda: int(time.time()))
    lock: threading.Lock = field(default_factory=threading.Lock)

    def begin(self) -> None:
        """Start the container's command."""
        command = self.spec["container"].get("command") or ["false"]
        with self.log.open("ab") as stream:
            self.process = subprocess.Popen(
                command,
                env=self.environment,
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def end(self) -> None:
        """End the process and what it started: an inner Snakemake does not end by SIGTERM alone."""
        process = self.process
        if process is None:
            return
        for number, patience_s in ((signal.SIGTERM, 0.5), (signal.SIGKILL, 5.0)):
            # Only while the leader is not reaped: its group id may be somebody else's afterwards.
            with self.lock:
                if process.poll() is None:
                    with contextlib.suppress(ProcessLookupError):
                        os.killpg(process.pid, number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(patience_s)

    def hurdle(self, shape: str | None) -> Json | None:
        """Return the fault that its image or shape asks for."""
        if "nopull" in (self.spec["container"].get("image") or ""):
            return issue("Failed", "ImagePullBackOff: no such image")
        if (shape or "").endswith(".nocap"):
            return issue("NoCapacity", "no node with free resources")
        return None


@dataclass
class Job(Workload):
    """A batch job."""

    job_id: str = ""
    labels: dict[str, str] = field(default_factory=dict)
    state: str = "Starting"
    forgotten: bool = False

    def run(self) -> None:
        """Run to the end; called in a thread of its own."""
        self.problem = self.hurdle(self.spec.get("resource_shape"))
        if self.problem is not None:
            self.state = "Queueing" if self.problem["reason"] == "NoCapacity" else "Starting"
            return
        with self.lock:
            if self.state != "Starting":
                return
            self.begin()
            self.state = "Running"
        assert self.process is not None
        if "vanish" in (self.spec["container"].get("image") or ""):
            self.forgotten = True
            self.end()
            return
        status = self.process.wait()
        if self.state == "Running":
            self.state = "Completed" if status == 0 else "Failed"

    def stop(self) -> None:
        """End it before its time."""
        with self.lock:
            self.state = "Stopped" if self.state in ("Starting", "Queueing", "Running") else self.state
        self.end()

    def replicas(self) -> list[Json]:
        """Return its one replica; the reason why it does not run stands there alone."""
        status: Json = {"readiness_issue": self.problem} if self.problem else {}
        return [{"id": f"{self.job_id}-0", "metadata": {"id": f"{self.job_id}-0"}, "status": status}]


@dataclass
class Endpoint(Workload):
    """A server with at most one replica, started again when it ends, scaled to zero when nobody asks it."""

    tokens: list[str] = field(default_factory=list)
    visibility: str = "private"
    labels: dict[str, str] = field(default_factory=dict)
    terminations: list[Json] = field(default_factory=list)
    deleted: bool = False
    woken: int = 1
    proxy: Proxy | None = None

    @property
    def port(self) -> int:
        """The container's port, which is a port of this machine here."""
        return int(self.spec["container"]["ports"][0]["container_port"])

    @property
    def wanted(self) -> int:
        """Replicas that shall run."""
        return int(self.spec["resource_requirement"].get("min_replicas", 1))

    @property
    def state(self) -> str:
        """The phase; the older API shows Stopped as Not Ready beside it."""
        if self.deleted:
            return "Deleting"
        if self.wanted == 0:
            return "Stopped"
        if self.problem is not None or self.process is None or self.process.poll() is not None:
            return "Starting"
        return "Ready" if self._listens() else "Starting"

    def open(self) -> None:
        """Give it an address, before any replica runs."""
        self.proxy = Proxy(self.port, lambda: self.tokens, lambda: self.state == "Ready")

    def run(self) -> None:
        """Keep its replica alive until it is deleted; called in a thread of its own."""
        used, asleep = time.monotonic(), True
        while not self.deleted:
            self.problem = self.hurdle(self.spec["resource_requirement"].get("resource_shape"))
            running = self.process is not None and self.process.poll() is None
            if self.wanted == 0 and running:
                self.end()
                self.process, asleep = None, True
            elif self.wanted and not self.problem and not running:
                self._restart(asleep)
                asleep = False
            if self.wanted == 0 or self.state != "Ready":
                used = time.monotonic()
            self._sleep_when_idle(used)
            time.sleep(POLL_S)
        self.end()

    def close(self) -> None:
        """Delete it."""
        self.deleted = True
        if self.proxy is not None:
            self.proxy.close()
        self.end()

    def replicas(self) -> list[Json]:
        """Return its replica, none when it is scaled to zero."""
        if self.wanted == 0:
            return []
        found = self.problem
        if found is None and self.state != "Ready":
            crashed = self.terminations and (self.process is None or self.process.poll() is not None)
            last = f"exit code {self.terminations[-1]['exit_code']}" if self.terminations else ""
            found = issue("UserCodeError", last) if crashed else issue("InProgress", "starting")
        name = f"{self.name}-0"
        status: Json = {"readiness_issue": found} if found else {}
        return [{"id": name, "metadata": {"id": name}, "status": status}]

    def _restart(self, asleep: bool) -> None:
        if self.process is not None and not asleep:
            status = self.process.returncode
            now = int(time.time())
            self.terminations.append(
                {"started_at": now, "finished_at": now, "exit_code": status, "reason": "Error", "message": ""}
            )
            delay_s = RESTART_DELAYS_S[min(len(self.terminations), len(RESTART_DELAYS_S)) - 1]
            until = time.monotonic() + delay_s
            while time.monotonic() < until and not self.deleted:
                time.sleep(POLL_S)
        if not self.deleted:
            self.begin()

    def _sleep_when_idle(self, used: float) -> None:
        limit_s = (self.spec.get("auto_scaler") or {}).get("scale_down", {}).get("no_traffic_timeout") or 0
        assert self.proxy is not None
        if limit_s and self.wanted and time.monotonic() - max(used, self.proxy.used) > limit_s:
            self.spec["resource_requirement"]["min_replicas"] = 0

    def _listens(self) -> bool:
        with socket.socket() as probe:
            probe.settimeout(1)
            return probe.connect_ex(("127.0.0.1", self.port)) == 0
