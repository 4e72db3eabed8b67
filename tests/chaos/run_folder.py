"""A run in a folder of its own: the calls of Snakemake and Snakeval on it, and what they have made."""

import base64
import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from chaos.facts import digest_of
from chaos.kinds import RUN, results_of
from chaos.trial_processes import MARK
from snakeval.run.gateway_paths import GatewayPaths
from snakeval.run.paths import RunPaths, TaskPaths
from workspace import ENVIRONMENTS, REPOSITORY, SNAKEVAL

TRACEBACK = "Traceback (most recent call last)"


@dataclass
class Call:
    """One call of Snakemake."""

    process: "subprocess.Popen[bytes]"
    log: Path
    began: float

    def ended(self) -> bool:
        """Whether it has ended."""
        return self.process.poll() is not None

    def text(self) -> str:
        """Return what it has printed."""
        return self.log.read_text(errors="replace")


@dataclass
class RunFolder:
    """The run of one trial.

    Attributes:
        config: What it is configured with.
        mark: What its processes are known by.
    """

    folder: Path
    config: dict[str, Any]
    mark: str
    calls: list[Call] = field(default_factory=list)

    @property
    def paths(self) -> RunPaths:
        """Where the run keeps what."""
        return RunPaths(self.output / RUN)

    @property
    def output(self) -> Path:
        """The folder of all results."""
        return self.folder / "results"

    @property
    def snakemake_folder(self) -> Path:
        """What Snakemake knows of the working directory."""
        return self.folder / ".snakemake"

    @property
    def configfile(self) -> Path:
        """The configuration as a file."""
        return self.folder / "chaos.yaml"

    @property
    def requests_log(self) -> Path:
        """What the stand-in servers were asked."""
        return self.folder / "requests.log"

    def prepare(self) -> None:
        """Make the folder anew."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.output.mkdir(parents=True)
        self.calls.clear()
        # YAML is a superset of JSON.
        self.configfile.write_text(json.dumps(self.config, indent=1), encoding="utf-8")

    def environ(self) -> dict[str, str]:
        """Return what the run's processes are given, their mark among it."""
        usual = {name: value for name, value in os.environ.items() if not name.startswith(("SNAKE", "PYTEST"))}
        own = {MARK: self.mark, "CHAOS_FOLDER": str(self.folder), "SNAKEVAL_ENVIRONMENTS": str(ENVIRONMENTS)}
        return usual | own | {"PYTHONDONTWRITEBYTECODE": "1"}

    def start(self) -> Call:
        """Call Snakemake."""
        options = ["--profile", str(REPOSITORY / "profiles" / "local"), "--configfile", self.configfile.name]
        command = [sys.executable, "-m", "snakemake", "--snakefile", str(REPOSITORY / "Snakefile"), *options]
        log = self.folder / f"call-{len(self.calls)}.log"
        with log.open("wb") as stream:
            process = subprocess.Popen(
                [*command, "--cores", "3"],
                cwd=self.folder,
                env=self.environ(),
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        call = Call(process, log, time.monotonic())
        self.calls.append(call)
        return call

    def snakeval(self, *words: str, timeout_s: float) -> "subprocess.CompletedProcess[str]":
        """Call the command `snakeval`."""
        return subprocess.run(
            [SNAKEVAL, *words, "--configfile", self.configfile.name],
            cwd=self.folder,
            env=self.environ(),
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )

    def answered(self) -> int:
        """Return how many answers the run has got so far."""
        if self.requests_log.exists():
            return self.requests_log.read_bytes().count(b'"event": "sent"')
        kept = [file for task in self.tasks() for file in task.harness.glob("requests.jsonl")]
        journals = [file for task in self.tasks() if (file := GatewayPaths(task.folder).journal).exists()]
        answers = sum(file.read_bytes().count(b'"type":"answer"') for file in journals)
        return answers + sum(len(file.read_bytes().splitlines()) for file in kept)

    def tasks(self) -> list[TaskPaths]:
        """Return the files of every task."""
        return [self.paths.task(*names) for names in results_of(self.config)]

    def recorded(self) -> dict[Path, str]:
        """Return the digests of the results that Snakemake has recorded as complete."""
        there = [path for task in self.tasks() for path in task.tracked if not self._is_incomplete(path)]
        return {path: digest for path in there if (digest := digest_of(path))}

    def unrecorded(self) -> dict[Path, str]:
        """Return the digests of results that are whole, and that Snakemake was ended before it took note of."""
        whole = [one.result for one in self.tasks() if one.samples.exists() and self._is_incomplete(one.result)]
        return {path: digest for path in whole if (digest := digest_of(path))}

    def _is_incomplete(self, path: Path) -> bool:
        name = base64.b64encode(str(path.relative_to(self.folder)).encode()).decode()
        return (self.snakemake_folder / "incomplete" / name).exists()
