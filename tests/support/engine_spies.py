"""Programs of an engine that record how they are called, and scripts that call them."""

import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from builders import make_execution
from snakeval.config.model import Deployment
from snakeval.deployments.launch import Placement, render_launch_script
from snakeval.run.paths import ServerPaths
from snakeval.system.files import write_text

BASH = shutil.which("bash") or "/bin/bash"


class Spies:
    """Programs of an engine on PATH that record how they are called, and scripts that call them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.bin = folder / "bin"
        self.bin.mkdir()

    def program(self, name: str, text: str) -> None:
        """Put a program on PATH."""
        write_text(self.bin / name, f"#!{BASH}\n{text}\n", mode=0o755)

    def run(
        self, deployment: Deployment, num_nodes: int = 1, patience_s: int = 60
    ) -> "subprocess.CompletedProcess[str]":
        """Run the script as the supervisor does."""
        options: dict[str, Any] = {"num_nodes": num_nodes} if num_nodes > 1 else {}
        script = render_launch_script(
            "demo",
            deployment,
            replace(make_execution(type="slurm", **options), readiness_timeout_s=patience_s),
            ServerPaths(self.folder),
            Placement(host="auto", advertise="auto", server_id="0"),
        )
        write_text(self.folder / "launch.sh", script)
        environment = {"PATH": f"{self.bin}:{os.environ['PATH']}", "RECORDS": str(self.folder)}
        environment |= {"SNAKEVAL_SUPERVISED": "1", "SNAKEVAL_HOST": "127.0.0.1", "SNAKEVAL_PORT": "4321"}
        environment |= {"SNAKEVAL_API_KEY": "k3y"}
        return subprocess.run(
            [BASH, str(self.folder / "launch.sh")],
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def recorded(self, name: str) -> list[str]:
        """Return the lines that programs have written to a file."""
        path = self.folder / name
        return path.read_text(encoding="utf-8").splitlines() if path.exists() else []


@contextlib.contextmanager
def spies_in(folder: Path) -> Iterator[Spies]:
    """Yield programs that record; what they left listening is ended."""
    yield (found := Spies(folder))
    for pid in found.recorded("listener"):
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(pid), signal.SIGTERM)
