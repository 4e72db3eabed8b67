"""Waiting for a server: a slow first answer has time, a wrong one has little, a dead server none."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from builders import make_deployment, make_execution
from fake_backend import FakeBackend
from fakes.openai_server import FakeOpenAIServer
from snakeval.config.model import Execution
from snakeval.endpoint import Endpoint, Protocol
from snakeval.errors import DeploymentError, EndpointError
from snakeval.run.server import Server, ServerState
from snakeval.serving import wait as waiting
from snakeval.serving.probe import check_endpoint
from snakeval.serving.wait import Wait
from snakeval.system import polling

READY = Server(ServerState.READY, None, "first", 1, "127.0.0.1", 4321, "now")
STARTING = Server(ServerState.STARTING, definition="now")
LOG = Path("server.log")


@dataclass
class Clock:
    """Time that passes only when somebody waits."""

    now: float = 1000.0
    on_tick: Callable[[], None] = lambda: None

    def monotonic(self) -> float:
        """Return the time."""
        return self.now

    def sleep(self, seconds: float) -> None:
        """Let it pass."""
        self.now += seconds
        self.on_tick()


@dataclass
class Bench:
    """A server, questions to it that end when the test says, and what was reported."""

    clock: Clock
    backend: FakeBackend = field(default_factory=FakeBackend)
    said: list[str] = field(default_factory=list)
    asked: list[tuple[Server, float]] = field(default_factory=list)
    answer: Callable[[], None] = lambda: None
    holds: Callable[[Server], bool] = lambda _: False
    release: threading.Event = field(default_factory=threading.Event)

    def ask(self, server: Server, timeout_s: float) -> None:
        """Note the question and answer as told."""
        self.asked.append((server, timeout_s))
        if self.holds(server):
            self.release.wait(60)
        self.answer()

    def wait(self, execution: Execution | None = None) -> Server:
        """Wait for it."""
        execution = execution or replace(make_execution(), readiness_timeout_s=600)
        return Wait(self.backend, make_deployment(), execution, LOG, self.ask, self.said.append).until_it_answers()


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    found = Bench(Clock())
    found.backend.servers["tiny"] = READY
    really_join = threading.Thread.join

    def join(probe: waiting._Probe, timeout: float) -> None:
        if found.holds(probe.server) and not found.release.is_set():
            found.clock.sleep(timeout)
        else:
            really_join(probe, 60)

    for module in (waiting, polling):
        monkeypatch.setattr(module, "time", found.clock)
    monkeypatch.setattr(waiting, "POLL_S", 1.0)
    monkeypatch.setattr(waiting._Probe, "join", join)
    yield found
    found.release.set()


def test_a_slow_first_answer_has_all_the_time_of_a_start(bench: Bench) -> None:
    """It is asked once, not again and again, and there is a line of progress every 30 s."""
    bench.holds = lambda _: True
    bench.clock.on_tick = lambda: bench.release.set() if bench.clock.now >= 1400 else None
    assert bench.wait() == READY
    assert bench.clock.now >= 1400
    assert bench.asked == [(READY, 630.0)]
    assert len(bench.said) == 13
    assert bench.said[0] == "waiting for tiny: READY (its first answer is not there yet), 30 s, log: server.log"


def test_an_answer_that_never_comes_is_told_at_the_deadline(bench: Bench) -> None:
    bench.holds = lambda _: True
    bench.backend.servers["tiny"] = STARTING

    def becomes_ready() -> None:
        if bench.clock.now >= 1100:
            bench.backend.servers["tiny"] = READY

    bench.clock.on_tick = becomes_ready
    with pytest.raises(DeploymentError) as raised:
        bench.wait()
    assert str(raised.value) == (
        "the server of tiny did not answer its first request within execution.readiness_timeout_s (600 s); "
        "the end of server.log:\nthe end of the log"
    )
    assert bench.clock.now == pytest.approx(1601, abs=1)
    assert bench.asked == [(READY, 530.0)]


def test_a_server_that_dies_while_it_is_asked_is_noticed(bench: Bench) -> None:
    bench.holds = lambda _: True

    def dies() -> None:
        if bench.clock.now >= 1050:
            bench.backend.servers["tiny"] = Server(ServerState.FAILED, "the server was killed by SIGKILL")

    bench.clock.on_tick = dies
    with pytest.raises(DeploymentError, match="did not start: the server was killed by SIGKILL"):
        bench.wait()
    assert bench.clock.now == 1050


def test_a_server_that_was_restarted_is_asked_anew(bench: Bench) -> None:
    again = replace(READY, generation=2)
    bench.holds = lambda server: server.generation == 1

    def restarts() -> None:
        if bench.clock.now >= 1010:
            bench.backend.servers["tiny"] = again

    bench.clock.on_tick = restarts
    assert bench.wait() == again
    assert [server for server, _ in bench.asked] == [READY, again]


def test_a_wrong_answer_is_asked_for_again_for_half_a_minute(bench: Bench) -> None:
    def refuse() -> None:
        bench.clock.sleep(1.0)
        raise EndpointError("it answers nonsense")

    bench.answer = refuse
    with pytest.raises(EndpointError, match="it answers nonsense"):
        bench.wait()
    assert 1030 < bench.clock.now < 1040
    assert len(bench.asked) > 10


def test_what_is_no_answer_at_all_is_raised(bench: Bench) -> None:
    def fail() -> None:
        raise DeploymentError("srun is not on PATH")

    bench.answer = fail
    with pytest.raises(DeploymentError, match="srun is not on PATH"):
        bench.wait()


def test_time_in_the_queue_is_not_time_of_the_start(bench: Bench) -> None:
    bench.backend.servers["tiny"] = Server(ServerState.PENDING, "Resources", definition="now")

    def begins() -> None:
        if bench.clock.now >= 3000:
            bench.backend.servers["tiny"] = READY

    bench.clock.on_tick = begins
    assert bench.wait() == READY
    assert bench.said[0] == "waiting for tiny: PENDING (Resources), 30 s, log: server.log"
    bench.backend.servers["tiny"] = Server(ServerState.PENDING, "Resources", definition="now")
    bench.clock.on_tick = lambda: None
    impatient = replace(make_execution(pending_timeout_s=100), readiness_timeout_s=600)
    with pytest.raises(DeploymentError, match=r"still in the queue after execution.pending_timeout_s \(100 s\)"):
        bench.wait(impatient)


def test_a_real_server_that_holds_its_first_answer() -> None:
    """What a loaded machine does: it accepts the connection, and answers much later."""
    backend, said = FakeBackend(servers={"tiny": READY}), list[str]()
    with FakeOpenAIServer("tiny-model", faults=("hold-after:0",)) as server:
        endpoint = Endpoint(server.base_url, "tiny-model", None)

        def look(deployment: str) -> Server:
            if server.payloads:
                server.release()
            return READY

        backend.state = look  # type: ignore[method-assign]
        wait = Wait(
            backend,
            make_deployment(),
            make_execution(),
            LOG,
            lambda _, timeout_s: check_endpoint(endpoint, Protocol.CHAT, False, timeout_s),
            said.append,
        )
        assert wait.until_it_answers() == READY
        assert len(server.payloads) == 1
