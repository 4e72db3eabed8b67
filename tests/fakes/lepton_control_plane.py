"""A stand-in for the control plane of DGX Cloud Lepton: its REST API in both wire families, on this machine.

Usage: python -m fakes.lepton_control_plane [--port N] [--family legacy|new], which prints the variables to export.

Driven by the real SDK, the real `lep` and the real Snakemake. What workloads do and which faults there are is said in
lepton_control_plane_workloads.py; the routes are in lepton_control_plane_routes.py. Every request is recorded. What had
to be guessed about the real server stands in one table of docs/lepton.md.
"""

import argparse
import json
import secrets as random_secrets
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

from fakes import lepton_control_plane_routes as routes
from fakes.lepton_control_plane_workloads import Endpoint, Job, Json, Refused

WORKSPACE = "testws"
BASE = f"/api/v2/workspaces/{WORKSPACE}"


@dataclass(frozen=True)
class Request:
    """One recorded request."""

    method: str
    path: str
    body: Any
    at: float


@dataclass
class ControlPlane:
    """One workspace, as a context manager; port 0 takes a free one.

    Attributes:
        new_family: Whether endpoints are at /endpoints instead of /deployments.
        token: What clients have to send; `expired` makes it worthless.
        down: Whether every request is answered by 503.
        latency_s: Seconds that every answer takes longer.
        lose_answers: How many answers to creations are lost on their way, after they took effect.
        secrets: Name -> value.
        node_groups: Name -> id; every group has the volume node-nfs:shared.
        shapes: Names that exist.
    """

    new_family: bool = False
    port: int = 0
    token: str = field(default_factory=lambda: random_secrets.token_hex(16))
    expires_in_s: float = 86400.0
    expired: bool = False
    down: bool = False
    latency_s: float = 0.0
    lose_answers: int = 0
    secrets: dict[str, str] = field(default_factory=dict)
    node_groups: dict[str, str] = field(default_factory=lambda: {"h100": "ng-h100-abcd"})
    shapes: list[str] = field(
        default_factory=lambda: ["cpu.small", "cpu.nocap", "cpu.quota", "gpu.1xh200", "gpu.nocap", "gpu.quota"]
    )
    jobs: dict[str, Job] = field(default_factory=dict)
    endpoints: dict[str, Endpoint] = field(default_factory=dict)
    requests: list[Request] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self._http = _Listener(("127.0.0.1", self.port), type("Bound", (_Handler,), {"plane": self}))
        self.port = int(self._http.server_address[1])

    @property
    def environ(self) -> dict[str, str]:
        """What a client needs in its environment."""
        return {
            "LEPTON_WORKSPACE_ID": WORKSPACE,
            "LEPTON_WORKSPACE_TOKEN": self.token,
            "LEPTON_WORKSPACE_URL": f"http://127.0.0.1:{self.port}{BASE}",
        }

    def count(self, method: str, path: str) -> int:
        """Return how many requests of this method had this path, below the workspace."""
        return sum(one.method == method and one.path == path for one in list(self.requests))

    def bodies(self) -> str:
        """Return every recorded body, as one text to search in."""
        return "\n".join(json.dumps(one.body) for one in list(self.requests))

    def alive(self) -> list[Job]:
        """Return the jobs that wait or run."""
        return [job for job in list(self.jobs.values()) if job.state in ("Starting", "Queueing", "Running")]

    def close(self) -> None:
        """Delete everything and stop answering."""
        for job in list(self.jobs.values()):
            job.stop()
        for endpoint in list(self.endpoints.values()):
            endpoint.close()
        for workload in [*self.jobs.values(), *self.endpoints.values()]:
            workload.log.unlink(missing_ok=True)
        self._http.shutdown()
        self._http.server_close()

    def __enter__(self) -> Self:
        threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Listener(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Keep quiet about clients that went away."""


class _Handler(BaseHTTPRequestHandler):
    plane: ControlPlane
    protocol_version = "HTTP/1.1"
    # Head and body of an answer are two packets; without this the second waits 40 ms for the client's kernel.
    disable_nagle_algorithm = True

    def log_message(self, format: str, *args: Any) -> None:
        """Keep quiet."""

    def do_GET(self) -> None:
        self._serve()

    do_POST = do_PATCH = do_PUT = do_DELETE = do_GET

    def _serve(self) -> None:
        plane = self.plane
        raw = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        url = urlsplit(self.path)
        path = url.path.removeprefix(BASE)
        query = {name: values[-1] for name, values in parse_qs(url.query).items()}
        body = json.loads(raw) if raw else None
        plane.requests.append(Request(self.command, path, body, time.monotonic()))
        if plane.latency_s:
            time.sleep(plane.latency_s)
        try:
            if plane.down:
                raise Refused(503, "Unavailable", "maintenance")
            if plane.expired or self.headers.get("Authorization") != f"Bearer {plane.token}":
                raise Refused(401, "Unauthorized", "token expired" if plane.expired else "unknown token")
            found = routes.answer(plane, self.command, path, query, body)
            if self.command == "POST" and plane.lose_answers > 0:
                plane.lose_answers -= 1
                self.close_connection = True
                return
            self._send(200, found)
        except Refused as refused:
            self._send(refused.status, refused.body)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            # A body that this stand-in does not understand.
            self._send(500, {"code": "Internal", "message": f"{self.command} {path}: {error!r}"})

    def _send(self, status: int, body: Json | list[Any] | str) -> None:
        data = body.encode() if isinstance(body, str) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/plain" if isinstance(body, str) else "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


def main() -> None:
    """Serve until killed."""
    parser = argparse.ArgumentParser(description="A stand-in control plane of DGX Cloud Lepton")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--family", choices=["legacy", "new"], default="legacy")
    parser.add_argument("--secret", action="append", default=[], metavar="NAME=VALUE")
    given = parser.parse_args()
    known = dict(entry.split("=", 1) for entry in given.secret)
    with ControlPlane(new_family=given.family == "new", port=given.port, secrets=known) as plane:
        for name, value in plane.environ.items():
            print(f"export {name}={value}", flush=True)
        threading.Event().wait()


if __name__ == "__main__":
    main()
