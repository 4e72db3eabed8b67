"""The router's process, its own API for adding and removing instances, and the check of keys that it asks for."""

import hmac
import json
import os
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Collection
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import quote

from snakeval.system.files import last_lines
from snakeval.system.ports import LOOPBACK, connectable, free_port

# Adding an instance waits until the router itself finds it healthy.
ADD_TIMEOUT_S = 15.0
REQUEST_TIMEOUT_S = 5.0
# Beyond this a router that says nothing is taken for dead.
PATIENCE_S = 60.0
END_PATIENCE_S = 5.0
LOG_LINES = 5
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class KeyCheck:
    """Answers 200 to requests with the deployment's key and 401 to all others, on the loopback alone.

    The router has no key of its own. It sends each new key to this URL. Only when the answer is 200, the key may use an
    instance, or the router's API. This API could send other people's requests anywhere.
    """

    def __init__(self, key: str) -> None:
        expected = f"Bearer {key}".encode()

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                given = self.headers.get("Authorization", "").encode()
                self.send_response(200 if hmac.compare_digest(given, expected) else 401)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Stay silent: each task asks once."""

        self._server = ThreadingHTTPServer((LOOPBACK, 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        """Return where it answers."""
        return f"http://{LOOPBACK}:{self._server.server_address[1]}/"


@dataclass(frozen=True)
class RouterSettings:
    """What stays the same from start to start of the router.

    Attributes:
        python: Interpreter of the router environment.
        program: `servers/router.py`.
        host: Address to bind.
        port: Port to bind.
        health_path: Path of the instances that answers 200.
        log: File for its output.
        key: The deployment's key.
    """

    python: Path
    program: Path
    host: str
    port: int
    health_path: str
    log: Path
    key: str = field(repr=False)


class Router:
    """The router's process; a new one may be started when the last one has ended."""

    def __init__(self, settings: RouterSettings) -> None:
        self._settings = settings
        self._check = KeyCheck(settings.key)
        self._process: subprocess.Popen[bytes] | None = None
        self._heard = 0.0

    @property
    def url(self) -> str:
        """Return where this machine reaches it."""
        return f"http://{connectable(self._settings.host)}:{self._settings.port}"

    @property
    def is_started(self) -> bool:
        """Return whether there is a process, dead or alive."""
        return self._process is not None

    def start(self, urls: Collection[str]) -> None:
        """Start the process; it listens once the router finds the instances at `urls` healthy."""
        own = self._settings
        command = [str(own.python), str(own.program), "--host", own.host, "--port", str(own.port)]
        command += ["--metrics-port", str(free_port(LOOPBACK)), "--key-check-url", self._check.url]
        command += [f"--health-path={own.health_path}", *(f"--instance-url={url}" for url in sorted(urls))]
        with own.log.open("ab") as log:
            self._process = subprocess.Popen(
                command, env=_environment(), stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
            )
        self._heard = time.monotonic()

    def failure(self) -> str | None:
        """Return why the router is of no use any more, None while it is."""
        assert self._process is not None
        status = self._process.poll()
        if status is not None:
            log = self._settings.log
            return f"the router ended with status {status}; the end of {log}:\n{last_lines(log, LOG_LINES)}"
        if time.monotonic() - self._heard > PATIENCE_S:
            return f"the router has not answered for {PATIENCE_S:.0f} s"
        return None

    def end(self) -> None:
        """End the process; safe to call without one, and twice."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(timeout=END_PATIENCE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def instances(self) -> set[str] | None:
        """Return the URLs that it routes to, None while it does not answer."""
        try:
            listed = json.loads(self._call("GET", "/list_workers", REQUEST_TIMEOUT_S))
        except (OSError, ValueError):
            return None
        self._heard = time.monotonic()
        return set(listed["urls"])

    def add(self, url: str) -> bool:
        """Have it route to an instance; return whether it does from now on."""
        return self._change("add_worker", url)

    def remove(self, url: str) -> bool:
        """Have it route to an instance no more; return whether that was understood."""
        return self._change("remove_worker", url)

    def _change(self, verb: str, url: str) -> bool:
        try:
            self._call("POST", f"/{verb}?url={quote(url, safe='')}", ADD_TIMEOUT_S)
        except OSError:
            return False
        return True

    def _call(self, method: str, path: str, timeout_s: float) -> str:
        headers = {"Authorization": f"Bearer {self._settings.key}"}
        request = urllib.request.Request(self.url + path, method=method, headers=headers)
        with _DIRECT.open(request, timeout=timeout_s) as response:
            return str(response.read().decode())


def _environment() -> dict[str, str]:
    """Return our environment without the key, and without the proxies of the way out, which lead to no instance."""
    left_out = ("http_proxy", "https_proxy", "all_proxy", "snakeval_api_key")
    return {name: value for name, value in os.environ.items() if name.lower() not in left_out}
