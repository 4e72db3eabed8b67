"""A server of one text: keyed_server.py HOST PORT TEXT; asks for the key of SNAKEVAL_API_KEY where there is one.

It prints a line for each connection, and one for each request with the key that it was asked with.
"""

import json
import os
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

HOST, PORT, TEXT = sys.argv[1], int(sys.argv[2]), sys.argv[3]
KEY = os.environ.get("SNAKEVAL_API_KEY")


class Handler(BaseHTTPRequestHandler):
    """Answers everything with the text."""

    protocol_version = "HTTP/1.1"

    def setup(self) -> None:
        """Tell of a connection."""
        super().setup()
        print("connected", flush=True)

    def do_GET(self) -> None:
        """Be in good health."""
        self._send(200, {})

    def do_POST(self) -> None:
        """Answer a chat request."""
        self.rfile.read(int(self.headers["Content-Length"]))
        given = self.headers.get("Authorization", "").removeprefix("Bearer ")
        print(f"asked with {given}", flush=True)
        message = {"role": "assistant", "content": TEXT}
        choice = {"index": 0, "finish_reason": "stop", "message": message}
        self._send(200 if KEY in (None, given) else 401, {"model": "m", "choices": [choice]})

    def _send(self, status: int, content: object) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Stay silent otherwise."""


ThreadingHTTPServer.daemon_threads = True
ThreadingHTTPServer((HOST, PORT), Handler).serve_forever()
