"""The gateway of a running task: a process beside the harness, through which all its requests go."""

import os
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import IO

import msgspec

from snakeval.backends import beside
from snakeval.backends.base import Beside
from snakeval.config.model import Config, Deployment, Task
from snakeval.config.secrets import resolve_env
from snakeval.endpoint import Endpoint
from snakeval.errors import DeploymentError, EndpointError, HarnessError
from snakeval.evaluation.comeback import Comeback
from snakeval.evaluation.watch import Watch
from snakeval.gateway.journal import pack
from snakeval.gateway.settings import (
    ENDPOINT_KEY_VARIABLE,
    PATIENCE_S,
    REQUEST_TIMEOUT_S,
    RETRIES,
    TOKEN_VARIABLE,
    Settings,
    write_settings,
)
from snakeval.harnesses.adapters import adapters_of, header_variables
from snakeval.harnesses.base import Harness, Outcome
from snakeval.harnesses.outcome import describe_status
from snakeval.results.answers import Answers, answers_of
from snakeval.run.gateway import GatewayState
from snakeval.run.gateway_paths import GatewayPaths
from snakeval.run.paths import RunPaths
from snakeval.run.server import Server
from snakeval.system.certificates import CA_VARIABLES
from snakeval.system.checkout import PROGRAMS
from snakeval.system.files import write_text
from snakeval.system.polling import Reminder, rounds
from snakeval.system.say import Say
from snakeval.system.slurm import without_batch_variables

PROGRAM = PROGRAMS / "gateway.py"
# A step of Slurm takes its time to start.
START_S = 180.0
END_S = 30.0
POLL_S = 0.05
# So long a harness may take to end when its requests are sent no more.
HOPELESS_S = 15.0
# A gateway that ends by itself again and again has a defect that one more start does not mend.
MOST_STARTS = 20
# A harness that is told no number may send any.
ANY_NUMBER = 1024
# They say how the network is reached; a task may have its own.
NETWORK_VARIABLES = frozenset({"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", *CA_VARIABLES})


@dataclass(frozen=True)
class Behind:
    """What a gateway stands before.

    Attributes:
        config: The run.
        deployment: What is evaluated.
        task: The task.
        endpoint: Where the deployment answers.
        server: Its server; None where it was there before.
        harness: The program that sends the requests.
        attempt: Of rule evaluate, from 1.
        lives: Which lives of the harness the evaluation has had; the last one begins now.
        starts: How often the task has had its server started again.
    """

    config: Config
    deployment: Deployment
    task: Task
    endpoint: Endpoint
    server: Server | None
    harness: Harness
    attempt: int
    lives: Sequence[str]
    starts: int = 0

    def comeback(self, watch: Watch, files: GatewayPaths, say: Say) -> Comeback | None:
        """Return what follows the server from now on, and has told where it is; None where there is no server."""
        if self.server is None:
            return None
        names = (self.config, watch.backend, self.deployment, self.task, self.attempt)
        comeback = Comeback(*names, files, say, watch.session, self.server, self.starts)
        comeback.begin(self.endpoint)
        return comeback

    def settings(self, files: GatewayPaths) -> Settings:
        """Return what the gateway is told."""
        traffic, server = self.task.traffic, self.server
        # What a service of a cloud has started for us is behind its own door: certificate and key are all there is.
        own_server = server is not None and server.url is None
        folder = RunPaths(self.config.folder).server(self.deployment.name).folder
        retries = RETRIES if traffic.max_retries is None else traffic.max_retries
        return Settings(
            base_url=self.endpoint.base_url,
            own_server=own_server,
            server=folder.absolute() if own_server else None,
            deployment=self.deployment.fingerprint,
            target=files.target.absolute() if server is not None else None,
            journal=files.journal.absolute(),
            state=files.state.absolute(),
            limit=files.limit.absolute(),
            life=self.lives[-1],
            earlier=tuple(self.lives[:-1]),
            attempt=self.attempt,
            adapters=adapters_of(self.task),
            vary_seed=self.harness.varies_seed,
            request_timeout_s=traffic.request_timeout_s or REQUEST_TIMEOUT_S,
            tries=retries + 1,
            patience_s=PATIENCE_S if traffic.patience_s is None else traffic.patience_s,
            disk_patience_s=self.config.execution.patience_s,
            lifeline=True,
        )


class TaskGateway:
    """A gateway while it runs; it is started again when it ends by itself.

    Args:
        behind: What it stands before.
        files: Where it keeps what.
        log: Open log of the task, into which it writes.
        say: Where its troubles go, a line at a time.
    """

    def __init__(self, behind: Behind, files: GatewayPaths, log: IO[str], say: Say) -> None:
        self._behind = behind
        self._files = files
        self._settings = behind.settings(files)
        self._token = secrets.token_urlsafe(24)
        self._log = log
        self._say = say
        self._reminder = Reminder(say)
        self._starts = 0
        self._hopeless_since: float | None = None
        self._step: Beside | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self.told: GatewayState | None = None

    @property
    def endpoint(self) -> Endpoint:
        """Where the harness sends its requests."""
        assert self.told is not None
        return Endpoint(self.told.address, self._behind.endpoint.model, self._token)

    def begin(self) -> None:
        """Start it, and wait until it listens.

        Raises:
            DeploymentError: It does not; its words are in the log.
        """
        self._starts += 1
        traffic, limit = self._behind.task.traffic, self._behind.deployment.max_concurrency
        write_text(self._files.limit, str(traffic.parallelism or limit or ANY_NUMBER))
        write_settings(self._files.settings, self._settings)
        self._files.state.unlink(missing_ok=True)
        server = self._behind.server
        argv = [sys.executable, str(PROGRAM), str(self._files.settings.absolute())]
        if server is not None and server.allocation is not None:
            self._step = beside(self._behind.config, server.allocation)
            argv = self._step.command(argv)
        self._process = subprocess.Popen(
            argv,
            env=self._environment(),
            stdin=subprocess.PIPE,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        for _ in rounds(POLL_S, START_S):
            self.told = GatewayState.read(self._files.state)
            if self.told is not None:
                break
            if (status := self._process.poll()) is not None:
                raise DeploymentError(f"the gateway of the task {describe_status(status)}; its words are in the log")
        else:
            raise DeploymentError(f"the gateway of the task does not listen after {START_S:.0f} s")
        # Started again, it listens on the same port: the harness knows no other.
        port = int(self.told.address.rpartition(":")[2].partition("/")[0])
        self._settings = msgspec.structs.replace(self._settings, port=port)

    def check(self) -> None:
        """Start it again when it has ended, and tell what it waits for.

        Raises:
            EndpointError: No request gets an answer any more.
            DeploymentError: It cannot do its work.
        """
        assert self._process is not None
        status = self._process.poll()
        self.told = GatewayState.read(self._files.state) or self.told
        if self.told is not None and self.told.broken:
            raise DeploymentError(self.told.broken)
        if status is not None:
            if self._starts >= MOST_STARTS:
                raise DeploymentError(f"the gateway of the task {describe_status(status)} again and again")
            self._say(f"the gateway of the task {describe_status(status)}; it is started again")
            self.end()
            self.begin()
        elif self.told is not None and self.told.waiting_for:
            self._reminder.remind(self.told.waiting_for)
        self._give_up()

    def _give_up(self) -> None:
        """End a harness that goes on although no more requests are sent; most end by themselves before."""
        if self.told is None or not self.told.hopeless:
            self._hopeless_since = None
            return
        self._hopeless_since = self._hopeless_since or time.monotonic()
        if time.monotonic() - self._hopeless_since > HOPELESS_S:
            raise EndpointError(f"{self.why_unanswered()}; no more are sent")

    def end(self) -> None:
        """End it, and read its last words; safe to call twice."""
        process = self._process
        if process is None:
            return
        # The end of its input is the sign: it reaches a step of Slurm too.
        assert process.stdin is not None
        process.stdin.close()
        try:
            process.wait(END_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if self._step is not None:
            self._step.end()
        self._process = None
        self.told = GatewayState.read(self._files.state) or self.told

    def why_unanswered(self) -> str | None:
        """Return what to say of requests that got no answer for good; None when there are none."""
        if self.told is None or not self.told.unanswered:
            return None
        details = ((kind, texts[0]) for kind, texts in self.told.details.items() if texts)
        reasons = [f"{kind} ({self.told.kinds.get(kind, 0)}x): {text}" for kind, text in details]
        return f"{self.told.unanswered} requests got no answer: {'; '.join(reasons)}"

    def refuse_unanswered(self) -> None:
        """Raise EndpointError when a harness has ended well although requests got no answer."""
        if (why := self.why_unanswered()) is not None:
            raise EndpointError(why)

    def counted(self, outcome: Outcome) -> tuple[Outcome, Answers]:
        """Return an outcome with the tokens and requests of the wire, and what else was seen there; packs the journal.

        What a program says of its tokens itself holds. Call it once, when the gateway has ended.
        """
        if self.told is None:
            raise HarnessError("the gateway of the task has left no count of its answers")
        counted = replace(
            outcome,
            prompt_tokens=outcome.prompt_tokens or self.told.prompt_tokens,
            completion_tokens=outcome.completion_tokens or self.told.completion_tokens,
            requests_sent=self.told.sent,
            requests_cached=self.told.remembered,
            requests_retried=self.told.again,
        )
        return counted, answers_of(self.told, pack(self._files.journal))

    def _environment(self) -> dict[str, str]:
        task = self._behind.task
        known = NETWORK_VARIABLES | set(header_variables(task))
        named = {name: value for name, value in task.env_vars.items() if name in known or name.upper() in known}
        own = resolve_env(named, os.environ)
        given = {**without_batch_variables(os.environ), **own, TOKEN_VARIABLE: self._token}
        key = self._behind.endpoint.api_key
        return given | ({ENDPOINT_KEY_VARIABLE: key} if key else {})


@contextmanager
def gateway(behind: Behind, files: GatewayPaths, log: IO[str], say: Say) -> Iterator[TaskGateway]:
    """Have a gateway while the block runs."""
    task_gateway = TaskGateway(behind, files, log, say)
    try:
        task_gateway.begin()
        yield task_gateway
    finally:
        task_gateway.end()
        # It holds the key of the server.
        files.target.unlink(missing_ok=True)
