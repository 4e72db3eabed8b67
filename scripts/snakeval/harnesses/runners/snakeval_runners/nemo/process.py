"""Runs nemo-evaluator, shows what it prints without its progress bars, and makes progress.json of those."""

import ctypes
import os
import random
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from ..shared.failures import RunnerError
from ..shared.progress import ProgressRecord, write_progress

KEPT_LINES = 400
GRACE_S = 5.0
POLL_S = 0.5
PORTS = range(20000, 32000)
FOLDER_VARIABLE = "SNAKEVAL_HARNESS_FOLDER"
ATTEMPT_VARIABLE = "SNAKEVAL_HARNESS_ATTEMPT"
WRITE_INTERVAL_S = 0.5
_BAR = re.compile(r"^(?P<label>.*?)\s*\d+%\|.*?\|\s*(?P<done>\d+)/(?P<total>\d+)\s*\[")
# Bars of other steps (building prompts, bootstrapping) say nothing of requests.
_REQUESTS = ("", "Requesting API:", "Generating results for")
_PR_SET_PDEATHSIG = 1
# Said of every request, by the cache that feeds the report with the first few.
_NOISE = ("Maximum cached re", "is None, replacing with empty string")


def run_evaluator(command: list[str], progress: Path) -> tuple[int, str]:
    """Run the command to its end and return its status and the end of what it printed.

    It is killed when this process is.
    """
    process = subprocess.Popen(
        command,
        # Chosen here, because this may be another machine than the one that asked for the run.
        env={"ADAPTER_PORT": str(adapter_port(os.environ["ADAPTER_HOST"])), **os.environ},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        preexec_fn=_die_with_parent,
    )
    output = _Output(progress)
    if process.stdout is not None:
        for block in _blocks(process, process.stdout.fileno()):
            output.feed(block.decode("utf-8", errors="replace"))
    output.end()
    return process.wait(), output.tail()


def _blocks(process: "subprocess.Popen[bytes]", descriptor: int) -> Iterator[bytes]:
    """Yield what a process prints until it has ended: what it leaves behind may hold its output open for ever."""
    while True:
        if select.select([descriptor], [], [], POLL_S)[0]:
            block = os.read(descriptor, 65536)
            if not block:
                return
            yield block
        elif process.poll() is not None:
            return


def adapter_port(host: str) -> int:
    """Return a port on which nobody listens, below those that the system gives to connections.

    The adapter binds it seconds later; a connection must not have taken it by then.
    """
    for port in random.sample(PORTS, len(PORTS)):
        with socket.socket() as probe, suppress(OSError):
            probe.bind((host, port))
            return port
    raise RunnerError("harness", f"no port of {host} is free from {PORTS.start} to {PORTS.stop - 1}")


def end_leftovers() -> None:
    """Kill what an earlier attempt has left whose runner was killed.

    Its processes have this task's folder in their environment, and another attempt. Those of this attempt that are no
    relatives of ours, such as a client of the batch system, go on.
    """
    import psutil

    left = [process for process in psutil.process_iter() if _is_left(process)]
    for process in left:
        with suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(left, timeout=GRACE_S)


def _is_left(process: Any) -> bool:
    import psutil

    try:
        found = process.environ()
    except (psutil.Error, OSError):
        return False
    same, now = (found.get(name) == os.environ[name] for name in (FOLDER_VARIABLE, ATTEMPT_VARIABLE))
    return same and not now


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


class _Output:
    def __init__(self, progress: Path) -> None:
        self._progress = progress
        self._rest = ""
        self._lines: deque[str] = deque(maxlen=KEPT_LINES)
        self._written_at = 0.0

    def feed(self, text: str) -> None:
        """Take what has been printed since."""
        *lines, self._rest = re.split(r"\r\n|\n|\r", self._rest + text)
        for line in lines:
            self._line(line)
        self._bar(self._rest)

    def end(self) -> None:
        """Take the last line, if it has no end."""
        if self._rest:
            self._line(self._rest)

    def tail(self) -> str:
        """Return the last lines that were no progress bars."""
        return "\n".join(self._lines)

    def _line(self, line: str) -> None:
        if not line.strip() or self._bar(line) or any(noise in line for noise in _NOISE):
            return
        self._lines.append(line)
        print(line, flush=True)

    def _bar(self, line: str) -> bool:
        found = _BAR.match(line)
        if not found:
            return False
        known = any(found["label"].startswith(label) if label else not found["label"] for label in _REQUESTS)
        done, total = int(found["done"]), int(found["total"])
        if known and (done == total or time.monotonic() - self._written_at >= WRITE_INTERVAL_S):
            self._written_at = time.monotonic()
            write_progress(self._progress, ProgressRecord(done, total))
        return True


def evaluator_command(run_config: Path) -> list[str]:
    """Return the call of nemo-evaluator in this environment, or image; every setting is in the file."""
    beside = Path(sys.executable).with_name("nemo-evaluator")
    program = str(beside) if beside.exists() else shutil.which("nemo-evaluator") or str(beside)
    return [program, "run_eval", "--run_config", str(run_config)]
