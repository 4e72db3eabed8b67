"""A gateway as a process of its own, and what a harness's client does with it."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests
from snakeval.gateway.settings import ENDPOINT_KEY_VARIABLE, TOKEN_VARIABLE, Settings, write_settings
from snakeval.run.gateway import GatewayState
from workspace import REPOSITORY, eventually

TOKEN = "token-of-the-gateway"
PROGRAM = REPOSITORY / "scripts" / "programs" / "gateway.py"


@dataclass
class RunningGateway:
    """A gateway that listens.

    Attributes:
        state: Its file.
        process: Itself.
        log: What it has said.
    """

    state: Path
    process: "subprocess.Popen[bytes]"
    log: Path
    session: requests.Session = field(default_factory=requests.Session)

    @property
    def told(self) -> GatewayState:
        """What the gateway says of itself."""
        told = GatewayState.read(self.state)
        assert told is not None
        return told

    @property
    def url(self) -> str:
        """Base URL for harnesses."""
        return self.told.address

    def post(self, path: str, body: object, token: str = TOKEN) -> requests.Response:
        """Ask as a harness does."""
        headers = {"Authorization": f"Bearer {token}"}
        return self.session.post(self.url + path, json=body, headers=headers, timeout=60)

    def chat(self, text: str, **more: object) -> requests.Response:
        """Ask for a chat completion."""
        messages = [{"role": "user", "content": text}]
        return self.post("/chat/completions", {"model": "m", "messages": messages, "temperature": 0, **more})

    def end(self) -> GatewayState:
        """End it; return its last words."""
        self.process.terminate()
        self.process.wait(30)
        return self.told


def make_settings(folder: Path, base_url: str, **more: Any) -> Settings:
    """Return settings for a gateway that works in a folder."""
    limit = folder / "limit"
    if not limit.exists():
        limit.write_text("16", encoding="utf-8")
    own: dict[str, Any] = {
        "base_url": base_url,
        "own_server": True,
        "deployment": "d" * 16,
        "target": None,
        "journal": folder / "journal.jsonl",
        "state": folder / "gateway.json",
        "limit": limit,
        "life": "first",
        "attempt": 1,
        "tries": 2,
    }
    return Settings(**own | more)


@contextmanager
def running_gateway(settings: Settings, endpoint_key: str = "", **environ: str) -> Iterator[RunningGateway]:
    """Have a gateway run while the block runs."""
    folder = settings.state.parent
    file, log = folder / "gateway-settings.json", folder / "gateway.log"
    write_settings(file, settings)
    settings.state.unlink(missing_ok=True)
    environment = os.environ | {TOKEN_VARIABLE: TOKEN, ENDPOINT_KEY_VARIABLE: endpoint_key} | environ
    with log.open("ab") as stream:
        process = subprocess.Popen(
            [sys.executable, str(PROGRAM), str(file)], env=environment, stdin=subprocess.PIPE, stderr=stream
        )
    try:
        eventually(lambda: settings.state.exists() or process.poll() is not None, 30, "a gateway that listens")
        assert process.poll() is None, log.read_text()
        yield RunningGateway(settings.state, process, log)
    finally:
        process.terminate()
        process.wait(30)
