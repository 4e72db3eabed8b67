"""Waits for a server until it has answered rightly, has ended, or its time is over."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from snakeval.backends.base import Backend
from snakeval.config.model import Deployment, Execution
from snakeval.deployments.failed_start import failed_start
from snakeval.errors import DeploymentError, EndpointError
from snakeval.run.server import Server, ServerState
from snakeval.system.polling import REPORT_S, Reminder
from snakeval.system.say import Say

POLL_S = 0.3
PROBE_PATIENCE_S = 30.0
Ask = Callable[[Server, float], None]


class _Probe(threading.Thread):
    """One question to a server, in a thread of its own: whoever waits for the answer looks after the server meanwhile.

    It is given up, not ended, when it is no longer wanted; a daemon does not keep its process alive.
    """

    def __init__(self, server: Server, ask: Ask, timeout_s: float) -> None:
        super().__init__(daemon=True)
        self.server = server
        self.error: Exception | None = None
        self._ask, self._timeout_s = ask, timeout_s

    def run(self) -> None:
        """Ask."""
        try:
            self._ask(self.server, self._timeout_s)
        except Exception as error:  # raised by who waits
            self.error = error

    def is_about(self, server: Server) -> bool:
        """Whether it asks this very process."""
        asked = self.server
        return (asked.server_id, asked.generation, asked.incarnation) == (
            server.server_id,
            server.generation,
            server.incarnation,
        )


@dataclass
class Wait:
    """Waiting for one server.

    Attributes:
        backend: Where it runs.
        deployment: What it serves.
        execution: Its deadlines: of being in a queue, and from its start to its first right answer.
        log: Of the server.
        ask: Asks for one answer, each request within so many seconds; raises EndpointError for a wrong or no answer.
        say: Where progress goes, every 30 s.
    """

    backend: Backend
    deployment: Deployment
    execution: Execution
    log: Path
    ask: Ask
    say: Say
    _pending_s: float = 0.0
    _probe: _Probe | None = None
    _refused: float | None = None
    _refusal: str | None = None

    def __post_init__(self) -> None:
        self._begin = self._looked = time.monotonic()
        self._reminder = Reminder(self.say)

    def until_it_answers(self) -> Server:
        """Return the server once it has given a right answer.

        A slow answer may take as long as a start may take. After a wrong answer or a lost connection it asks again, for
        half a minute.

        Raises:
            DeploymentError: it has ended, waits too long in a queue, or has not answered in time.
            EndpointError: it answers, but not as it must.
        """
        while True:
            server = self.backend.state(self.deployment.name)
            if not server.lives:
                tail = self.backend.log_tail(self.deployment.name)
                raise DeploymentError(failed_start(self.deployment, self.execution, str(server.reason), tail, self.log))
            if self._is_answered(server):
                return server
            self._check_clocks(server)
            self._report(server)
            if self._probe is not None:
                self._probe.join(POLL_S)
            else:
                time.sleep(POLL_S)

    def _is_answered(self, server: Server) -> bool:
        if server.state is not ServerState.READY or (self._probe and not self._probe.is_about(server)):
            self._probe = None
        if server.state is not ServerState.READY:
            return False
        if self._probe is None:
            # The deadline is checked here; a request that goes on a little longer is no reason for another message.
            self._probe = _Probe(server, self.ask, max(0.0, self._left_s()) + REPORT_S)
            self._probe.start()
        if self._probe.is_alive():
            return False
        error, self._probe = self._probe.error, None
        if error is None:
            return True
        if not isinstance(error, EndpointError):
            raise error
        self._refused, self._refusal = self._refused or time.monotonic(), str(error)
        if time.monotonic() - self._refused > PROBE_PATIENCE_S:
            raise error
        return False

    def _left_s(self) -> float:
        return self._begin + self.execution.readiness_timeout_s - time.monotonic()

    def _check_clocks(self, server: Server) -> None:
        now = time.monotonic()
        if server.state in (ServerState.PENDING, ServerState.DRAINING):
            # Waiting in a queue, or for a server to go back there, is not starting: it has a deadline of its own.
            waited_s = now - self._looked
            self._pending_s, self._begin = self._pending_s + waited_s, self._begin + waited_s
            patience_s = self.execution.pending_timeout_s
            if self._pending_s > patience_s:
                raise DeploymentError(
                    f"the job of {self.deployment.name} is still in the queue after execution.pending_timeout_s "
                    f"({patience_s} s); the reason: {server.reason}"
                )
        self._looked = now
        if self._left_s() < 0:
            what = "did not answer its first request" if self._probe else "was not ready"
            before = f" (before that: {self._refusal})" if self._refusal else ""
            raise DeploymentError(
                f"the server of {self.deployment.name} {what} within execution.readiness_timeout_s "
                f"({self.execution.readiness_timeout_s} s){before}; the end of {self.log}:\n"
                f"{self.backend.log_tail(self.deployment.name)}"
            )

    def _report(self, server: Server) -> None:
        why = server.reason or (self._probe and (self._refusal or "its first answer is not there yet"))
        waited_s = self._pending_s + time.monotonic() - self._begin
        because = f" ({why})" if why else ""
        self._reminder.remind(
            f"waiting for {self.deployment.name}: {server.state}{because}, {waited_s:.0f} s, log: {self.log}"
        )
