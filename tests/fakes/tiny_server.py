"""A server for tests of the supervisor: answers /health, and dies or leaves a detached child behind when told to.

Arguments: port, then any of `detach` (start a child in a session of its own), `refuse` (end with status 3 at once),
`die-on-request` (end with status 4 when /die is asked for).
"""

import os
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Handler(BaseHTTPRequestHandler):
    """Answers 200 to everything; /die ends the process."""

    def do_GET(self) -> None:
        """Answer."""
        if self.path == "/die":
            os._exit(4)
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *_: object) -> None:
        """Stay silent."""


if __name__ == "__main__":
    if "refuse" in sys.argv:
        sys.exit(3)
    if "detach" in sys.argv:
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
