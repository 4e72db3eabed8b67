"""An OpenAI-compatible server that can be told to misbehave; the same question always gets the same answer.

Every request and every answer is one line in $CHAOS_FOLDER/requests.log. control-<name>.json there says how to
misbehave, until when, and with which share of the requests; files named in a command count for the fingerprint.
"""

import argparse
import hashlib
import json
import os
import random
import re
import socket
import struct
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

PROBE = "Say yes."
KEY = os.environ["SNAKEVAL_API_KEY"]
FOLDER = Path(os.environ["CHAOS_FOLDER"])
SLOW_S = 8.0


def request_id(body: dict[str, Any]) -> str:
    """Return the hash of all that was asked, seed included."""
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()[:16]


def answer_to(body: dict[str, Any]) -> str:
    """Return one of the words of the last message, chosen by the hash of all that was asked."""
    last = str(body["messages"][-1]["content"])
    words = [word for word in ("True", "False") if word in last]
    words = ["True", "False"] if words else re.findall(r"\d+", last) or re.findall(r"\w+", last)
    return str(words[int(request_id(body), 16) % len(words)])


def reply_to(body: dict[str, Any], model: str) -> dict[str, Any]:
    """Return the right reply."""
    text = answer_to(body)
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}
    usage = {"prompt_tokens": len(str(body["messages"]).split()), "completion_tokens": len(text)}
    return {"id": "x", "object": "chat.completion", "model": model, "choices": [choice], "usage": usage}


def wrong_bodies(reply: dict[str, Any]) -> dict[str, bytes]:
    """Return what is sent with status 200 where it is no answer."""
    whole = json.dumps(reply).encode()
    (choice,) = reply["choices"]
    nothing = choice | {"message": {"role": "assistant", "content": None}}
    return {
        "truncated": whole[: len(whole) // 2],
        "empty": b"",
        "html": b"<html><body>502 Bad Gateway</body></html>",
        "null": json.dumps(reply | {"choices": [nothing]}).encode(),
        "no-choices": json.dumps(reply | {"choices": []}).encode(),
        "error-200": b'{"error": {"message": "overloaded", "code": 503}}',
        "unfinished": json.dumps(reply | {"choices": [choice | {"finish_reason": None}]}).encode(),
        "twice": whole + whole,
    }


def odd_bodies(reply: dict[str, Any]) -> dict[str, bytes]:
    """Return what is an answer, and no usual one."""
    return {
        "wrong-model": json.dumps(reply | {"model": "somebody-else"}).encode(),
        "duplicate": json.dumps(reply | {"choices": reply["choices"] * 2}).encode(),
    }


class Handler(BaseHTTPRequestHandler):
    """Answers one connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    given: argparse.Namespace

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def note(self, event: str, key: str, mode: str | None) -> None:
        """Write a line of the log, at once and whole."""
        line = {"t": round(time.time(), 3), "event": event, "key": key, "deployment": self.given.name}
        line |= {"server": os.environ.get("SNAKEVAL_SERVER_ID"), "pid": os.getpid(), "mode": mode}
        handle = os.open(FOLDER / "requests.log", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        os.write(handle, json.dumps(line).encode() + b"\n")
        os.close(handle)

    def mode(self) -> tuple[str | None, float]:
        """Return how this request is to be misused, and until when."""
        try:
            told = json.loads((FOLDER / f"control-{self.given.name}.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None, 0.0
        active = time.time() < told["until"] and random.random() < told["share"]
        return (told["mode"], told["until"]) if active else (None, 0.0)

    def say(self, status: int, body: bytes, kind: str = "application/json", **headers: str) -> None:
        """Send a whole response."""
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def allowed(self) -> bool:
        """Whether the key is right; the refusal is sent when it is not."""
        if self.headers.get("Authorization") == f"Bearer {KEY}":
            return True
        self.say(401, b'{"error": "no key"}')
        return False

    def do_GET(self) -> None:
        """Answer what is asked of the server itself."""
        if self.path == "/health":
            self.say(200, b"{}")
        elif self.allowed():
            self.say(200, json.dumps({"data": [{"id": self.given.model}]}).encode())

    def do_POST(self) -> None:
        """Answer a question, or do what is told instead."""
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if not self.allowed():
            return
        key = "probe" if str(body["messages"][-1]["content"]) == PROBE else request_id(body)
        mode, until = self.mode()
        self.note("got", key, mode)
        time.sleep(0.02 + int(request_id(body), 16) % 60 / 1000)
        reply = reply_to(body, self.given.model)
        if mode and self.refused(mode, reply):
            return
        if mode == "slow":
            time.sleep(max(0.0, min(SLOW_S, until - time.time())))
        whole = odd_bodies(reply).get(mode or "", json.dumps(reply).encode())
        self.say(200, whole)
        self.note("sent", key, mode)

    def refused(self, mode: str, reply: dict[str, Any]) -> bool:
        """Give no answer in the way that is told; return False when the way is one with an answer."""
        if mode in ("429", "500", "503"):
            patience = {"Retry_After": "1"} if mode == "429" else {}
            self.say(int(mode), b'{"error": {"message": "chaos"}}', **patience)
        elif mode == "reset":
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.close_connection = True
            self.connection.close()
        elif mode == "cut":  # Content-Length says more than comes.
            whole = json.dumps(reply).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(whole)))
            self.end_headers()
            self.wfile.write(whole[: len(whole) // 2])
            self.close_connection = True
        elif (wrong := wrong_bodies(reply).get(mode)) is not None:
            self.say(200, wrong, "text/html" if mode == "html" else "application/json")
        else:
            return False
        return True


class Server(ThreadingHTTPServer):
    """One thread for each connection."""

    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, *_: object) -> None:
        """Say nothing of clients that are gone."""


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    for option in ("--name", "--model"):
        parser.add_argument(option, required=True)
    Handler.given = parser.parse_args()
    Server((os.environ["SNAKEVAL_HOST"], int(os.environ["SNAKEVAL_PORT"])), Handler).serve_forever()
