"""A stand-in for slurmstepd: runs what the stand-in srun hands over, as nobody's child but the test's."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import threading
from pathlib import Path
from typing import TextIO


class Slurmstepd:
    """Listens on a socket; a command goes on when its srun is gone, as in Slurm."""

    def __init__(self, path: Path, log: Path) -> None:
        self.steps: list[subprocess.Popen[bytes]] = []
        self._log = log
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """End all steps, as the end of their job does."""
        self._listener.close()
        for step in self.steps:
            step.kill()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._run, args=(client,), daemon=True).start()

    def _run(self, client: socket.socket) -> None:
        stream = client.makefile("rw")
        asked = json.loads(stream.readline())
        with self._log.open("ab") as log:
            step = subprocess.Popen(
                asked["command"],
                env=asked["environment"],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.steps.append(step)
        threading.Thread(target=self._answer, args=(stream, step), daemon=True).start()
        for line in stream:
            if line == "TERM\n":
                step.send_signal(signal.SIGTERM)
            elif line == "EOF\n" and step.stdin:
                step.stdin.close()

    @staticmethod
    def _answer(stream: TextIO, step: "subprocess.Popen[bytes]") -> None:
        status = step.wait()
        # What its first process leaves of a step, Slurm ends.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(step.pid, signal.SIGKILL)
        try:
            stream.write(f"{status if status >= 0 else 128 - status}\n")
            stream.flush()
        except (OSError, ValueError):
            pass  # Its srun is gone.
