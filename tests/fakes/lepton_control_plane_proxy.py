"""The address of an endpoint in the stand-in control plane: asks for the endpoint's token, then hands requests on."""

import http.client
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class _Listener(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Keep quiet about clients that went away."""


class Proxy:
    """A port of its own in front of one server; lives until `close`."""

    def __init__(self, target: int, tokens: Callable[[], list[str]], ready: Callable[[], bool]) -> None:
        self.target = target
        self.tokens = tokens
        self.ready = ready
        self.used = time.monotonic()
        self.refused = 0
        self._http = _Listener(("127.0.0.1", 0), type("Bound", (_Handler,), {"proxy": self}))
        threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        self._closed = False

    @property
    def url(self) -> str:
        """What status.endpoint.external_endpoint says."""
        return f"http://127.0.0.1:{self._http.server_address[1]}"

    def close(self) -> None:
        """Stop answering; safe to call twice."""
        if not self._closed:
            self._closed = True
            self._http.shutdown()
            self._http.server_close()


class _Handler(BaseHTTPRequestHandler):
    proxy: Proxy
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:
        """Keep quiet."""

    def do_GET(self) -> None:
        self._pass_on(None)

    def do_POST(self) -> None:
        self._pass_on(self.rfile.read(int(self.headers.get("Content-Length", "0"))))

    def _pass_on(self, body: bytes | None) -> None:
        allowed = {f"Bearer {token}" for token in self.proxy.tokens()}
        if allowed and self.headers.get("Authorization") not in allowed:
            self.proxy.refused += 1
            self._answer(401, b'{"message": "endpoint token needed"}', "application/json")
            return
        self.proxy.used = time.monotonic()
        if not self.proxy.ready():
            self._answer(503, b'{"message": "no replica is ready"}', "application/json")
            return
        # The token is for the platform; the server behind does not get it.
        kept = {k: v for k, v in self.headers.items() if k.lower() not in ("host", "authorization", "connection")}
        connection = http.client.HTTPConnection("127.0.0.1", self.proxy.target, timeout=120)
        try:
            connection.request(self.command, self.path, body=body, headers=kept)
            answer = connection.getresponse()
            self._answer(answer.status, answer.read(), answer.getheader("Content-Type", "text/plain"))
        except (OSError, http.client.HTTPException):
            self._answer(502, b'{"message": "the replica does not answer"}', "application/json")
        finally:
            self.proxy.used = time.monotonic()
            connection.close()

    def _answer(self, status: int, body: bytes, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
