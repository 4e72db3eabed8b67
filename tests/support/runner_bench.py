"""What the tests of all harnesses share: a folder, a task in it, and ways to run it as a job of Snakeval would."""

import json
import os
import select
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Protocol
from uuid import uuid4

from fakes.openai_server import FakeOpenAIServer
from gateway_bench import TOKEN, RunningGateway, make_settings, running_gateway
from snakeval.config.model import Config, Task
from snakeval.endpoint import Endpoint
from snakeval.errors import SnakevalError
from snakeval.harnesses.base import Harness, HarnessCommand, Outcome
from snakeval.harnesses.runner import RUNNERS
from snakeval.run.gateway_paths import GatewayPaths
from workspace import REPOSITORY

TIMEOUT_S = 240
PRELOADED = REPOSITORY / "tests" / "fakes" / "preloaded_runner.py"


@dataclass(frozen=True)
class Ended:
    """What a run of a harness left; JSON files that are absent are None."""

    status: int
    log: str
    work_dir: Path
    harness: Harness

    def read(self, name: str) -> Any:
        """Return the content of a JSON file in the work folder."""
        path = self.work_dir / f"{name}.json"
        return json.loads(path.read_text()) if path.exists() else None

    @property
    def samples(self) -> list[dict[str, Any]]:
        """The samples that the harness reports."""
        return list(self.harness.samples(self.work_dir))

    @property
    def verdict(self) -> Outcome | SnakevalError:
        """What rule evaluate makes of it: the outcome, or the error that fails the task."""
        if self.status != 0:
            return self.harness.failure(self.work_dir, self.status)
        try:
            return self.harness.outcome(self.work_dir)
        except SnakevalError as error:
            return error


class Served(Protocol):
    """Where a harness sends its requests: the fake endpoint itself, or a gateway before it."""

    @property
    def base_url(self) -> str:
        """Up to and with /v1."""

    @property
    def model(self) -> str:
        """What the endpoint calls it."""

    @property
    def api_key(self) -> str | None:
        """What the harness has to send."""


@dataclass(frozen=True)
class Asked:
    """See `Served`."""

    base_url: str
    model: str
    api_key: str | None


@dataclass(frozen=True)
class Guarded(Asked):
    """A gateway before the fake endpoint, as evaluate starts one for each attempt."""

    gateway: RunningGateway


class Preloaded:
    """A runner that has imported its harness, for tests that ask little of it; one request at a time."""

    def __init__(self, python: Path, runner: str, folder: Path, *modules: str) -> None:
        # Read while packages are imported, so the same for all requests.
        env = os.environ | {"PYTHONPATH": str(RUNNERS), "HF_HOME": str(folder), "HF_HUB_OFFLINE": "1"}
        self.process = subprocess.Popen(
            [str(python), "-P", str(PRELOADED), runner, *modules],
            env=env | {"TQDM_DISABLE": "1", "TOKENIZERS_PARALLELISM": "false"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            start_new_session=True,
        )

    def run(self, command: HarnessCommand, env: Mapping[str, str], log: Path) -> int:
        """Run what the command would run; returns its exit status."""
        job = {"arguments": command.argv[-1:], "env": dict(env), "cwd": str(command.cwd), "log": str(log)}
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(job).encode() + b"\n")
        ready, _, _ = select.select([self.process.stdout], [], [], TIMEOUT_S)
        if not ready:
            self.close()
            raise TimeoutError(f"{command.argv} did not end within {TIMEOUT_S} s")
        return int(self.process.stdout.readline())

    def close(self) -> None:
        """End it, and what it runs."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


@dataclass
class RunnerBench:
    """Tasks in a folder of their own, run by a harness; subclasses know which and how its tasks are written."""

    folder: Path
    python: Path
    settings: dict[str, Any] = field(default_factory=dict)
    preloaded: Preloaded | None = None

    harness: ClassVar[Harness]
    # File of the answers so far, which let a killed task resume; where there is a gateway, that has its own.

    def task(self, name: str, **options: Any) -> tuple[Task, Config]:
        """Return a task of this bench, and the configuration that it is part of."""
        raise NotImplementedError

    def lose_data(self) -> None:
        """Make the data of task `mini` unfindable."""
        raise NotImplementedError

    @property
    def work_dir(self) -> Path:
        """The folder of the harness's own files."""
        return self.folder / "work"

    @property
    def answers_path(self) -> Path:
        """The file of the answers so far, which let a killed task resume."""
        return GatewayPaths(self.folder).journal

    @property
    def answers(self) -> int:
        """How many answers are kept."""
        return self.answers_path.read_bytes().count(b'"type":"answer"')

    @contextmanager
    def guarded(self, server: FakeOpenAIServer, **settings: Any) -> Iterator[Guarded]:
        """Have a gateway before the server, for one attempt; what it remembers is there in the next one.

        Args:
            server: The endpoint.
            settings: Of the gateway, in place of the bench's own; `key` is the one that it sends to the endpoint, the
                right one when it is not given.
        """
        folder = self.folder / "gateway"
        folder.mkdir(exist_ok=True)
        key = settings.pop("key", server.api_key) or ""
        own = {
            "life": uuid4().hex,
            "journal": GatewayPaths(self.folder).journal,
            "tries": 1,
            "request_timeout_s": 30,
            "vary_seed": self.harness.varies_seed,
        } | settings
        with running_gateway(make_settings(folder, server.base_url, **own), key) as gateway:
            yield Guarded(gateway.url, server.model, TOKEN, gateway)

    @contextmanager
    def before(self, server: FakeOpenAIServer, key: str | None, tries: int) -> Iterator[Asked]:
        """Have what the harness asks: a gateway before the server."""
        with self.guarded(server, key=key, tries=tries) as guarded:
            yield guarded

    def command(self, server: Served, task: str = "mini", **options: Any) -> HarnessCommand:
        """Return the harness's command line for a task of this bench; it has the key that the server asks for."""
        key = options.pop("api_key", server.api_key)
        wanted, config = self.task(task, **(self.settings | options))
        endpoint = Endpoint(server.base_url, server.model, key)
        return self.harness.command(wanted, endpoint, self.work_dir, self.python, config)

    def environ(self, command: HarnessCommand) -> dict[str, str]:
        """Return the environment of a run; caches of harnesses are folders of this bench."""
        env = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
        env |= {"HF_HOME": str(self.folder / "hf"), "HF_HUB_OFFLINE": "1"}
        env |= {"XDG_DATA_HOME": str(self.folder / "data-home"), "XDG_CACHE_HOME": str(self.folder / "cache-home")}
        return env | command.env

    def start(self, command: HarnessCommand, **environ: str) -> "subprocess.Popen[str]":
        """Start the harness as a program; its output goes to log.txt."""
        env = self.environ(command) | environ
        with (self.folder / "log.txt").open("w") as log:
            return subprocess.Popen(command.argv, env=env, cwd=command.cwd, stdout=log, stderr=log, text=True)

    def run(self, server: Served, task: str = "mini", **options: Any) -> Ended:
        """Run a task to its end, in a preloaded process where there is one."""
        command = self.command(server, task, **options)
        if self.preloaded:
            status = self.preloaded.run(command, self.environ(command), self.folder / "log.txt")
            return self.ended(status)
        return self.run_alone(command)

    def run_alone(self, command: HarnessCommand, **environ: str) -> Ended:
        """Run a command to its end as a program of its own, as Snakeval does."""
        process = self.start(command, **environ)
        try:
            status = process.wait(TIMEOUT_S)
        finally:
            process.kill()
        return self.ended(status)

    def ended(self, status: int) -> Ended:
        """Return what a run left."""
        return Ended(status, (self.folder / "log.txt").read_text(), self.work_dir, self.harness)
