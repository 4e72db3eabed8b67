"""How a server is brought up once for all tasks, and what happens when it does not come."""

from dataclasses import replace
from pathlib import Path

import pytest
from builders import make_config, make_deployment, make_task
from fake_backend import FakeBackend
from snakeval.config.model import Config
from snakeval.deployments.endpoint import existing_endpoint, server_endpoint
from snakeval.endpoint import Endpoint, Protocol
from snakeval.errors import DeploymentError, EndpointError
from snakeval.evaluation.leases import make_ready
from snakeval.run.lease import Lease
from snakeval.run.paths import RunPaths
from snakeval.run.server import Secrets, Server, ServerState
from snakeval.serving import servers as serving
from snakeval.serving import wait as waiting
from snakeval.serving.probe import BusyError
from snakeval.serving.servers import ensure_server
from snakeval.system.files import write_json
from snakeval.system.processes import SESSION_VARIABLE

READY = Server(ServerState.READY, None, "0123456789abcdef", 1, "127.0.0.1", 4321, "now")
FAILED = Server(ServerState.FAILED, "the server ended with status 1", definition="now")
ENDPOINT = Endpoint("http://127.0.0.1:4321/v1", "tiny-model", "top-secret")
TINY = make_deployment()


@pytest.fixture(autouse=True)
def probed(monkeypatch: pytest.MonkeyPatch) -> list[Endpoint]:
    """Every endpoint answers well; return those that were asked."""
    asked: list[Endpoint] = []
    monkeypatch.setattr(serving, "check_endpoint", lambda endpoint, *_, **__: asked.append(endpoint))
    monkeypatch.setattr(waiting, "POLL_S", 0.001)
    monkeypatch.setenv(SESSION_VARIABLE, "session 1")
    return asked


@pytest.fixture
def backend(monkeypatch: pytest.MonkeyPatch) -> FakeBackend:
    fake = FakeBackend(started=lambda: READY)
    monkeypatch.setattr(serving, "backend_of", lambda _: fake)
    return fake


@pytest.fixture
def config(tmp_path: Path) -> Config:
    config = make_config(tmp_path / "results", [TINY])
    Secrets({"SNAKEVAL_API_KEY": "top-secret"}, {}).write(_paths(config).server("tiny").secrets)
    return config


def _paths(config: Config) -> RunPaths:
    return RunPaths(config.folder)


def _ensure(config: Config, attempt: int = 1) -> tuple[Server, Endpoint]:
    return ensure_server(config, TINY, Protocol.CHAT, attempt, lambda _: None)


def _lease(config: Config, task: str) -> Path:
    lease = _paths(config).task("tiny", task).lease
    write_json(lease, {})
    return lease


def test_a_server_is_started_once(config: Config, backend: FakeBackend, probed: list[Endpoint]) -> None:
    assert _ensure(config) == (READY, ENDPOINT)
    assert _ensure(config) == (READY, ENDPOINT)
    assert backend.calls == ["stop tiny", "start tiny"]
    assert probed == [ENDPOINT] * 2


def test_a_server_of_another_configuration_is_replaced_unless_it_is_leased(
    config: Config, backend: FakeBackend
) -> None:
    backend.servers["tiny"] = old = replace(READY, definition="before")
    lease = _lease(config, "other")
    assert _ensure(config)[0] == old
    assert backend.calls == []
    lease.unlink()
    assert _ensure(config)[0] == READY
    assert backend.calls == ["stop tiny", "stop tiny", "start tiny"]


def test_a_failed_start_is_told_and_not_repeated_by_every_task(
    config: Config, backend: FakeBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend.started = lambda: FAILED
    log = _paths(config).server("tiny").log
    message = f"the server of tiny did not start: the server ended with status 1; the end of {log}:\nthe end of the log"
    for _ in range(3):
        with pytest.raises(DeploymentError) as raised:
            _ensure(config, attempt=1)
        assert str(raised.value) == message
    assert backend.calls.count("start tiny") == 1
    with pytest.raises(DeploymentError):
        _ensure(config, attempt=2)
    assert backend.calls.count("start tiny") == 2
    monkeypatch.setenv(SESSION_VARIABLE, "session 2")
    backend.started = lambda: READY
    assert _ensure(config, attempt=1)[0] == READY


def test_a_server_that_never_gets_ready(config: Config, backend: FakeBackend) -> None:
    backend.started = lambda: Server(ServerState.STARTING, definition="now")
    hasty = replace(config, execution=replace(config.execution, readiness_timeout_s=0))
    with pytest.raises(DeploymentError, match=r"not ready within execution\.readiness_timeout_s \(0 s\)"):
        _ensure(hasty)
    assert backend.calls == ["stop tiny", "start tiny", "stop tiny"]


@pytest.mark.parametrize("leased", [False, True])
def test_a_server_that_answers_badly_is_stopped_unless_it_is_leased(
    leased: bool, config: Config, backend: FakeBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise EndpointError("it answers nonsense")

    if leased:
        _lease(config, "other")
    backend.servers["tiny"] = READY
    monkeypatch.setattr(serving, "check_endpoint", refuse)
    monkeypatch.setattr(waiting, "PROBE_PATIENCE_S", 0.0)
    with pytest.raises(EndpointError, match="nonsense"):
        _ensure(config)
    assert backend.calls == ([] if leased else ["stop tiny"])


def test_make_ready_writes_the_lease_and_leaves_no_claim(config: Config, backend: FakeBackend) -> None:
    make_ready(config, TINY, make_task(), 1, 3, lambda _: None)
    lease = Lease.read(_paths(config).task("tiny", "sums").lease)
    assert lease == Lease("tiny", "sums", 3, "0123456789abcdef")
    assert list(_paths(config).server("tiny").claims.iterdir()) == []


def test_make_ready_of_an_endpoint_that_is_there(
    config: Config, backend: FakeBackend, probed: list[Endpoint], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_KEY", "top-secret")
    there = make_deployment("there", type="none", base_url="http://gateway/v1", api_key_name="MY_KEY")
    make_ready(config, there, make_task(), 1, 3, lambda _: None)
    assert probed == [Endpoint("http://gateway/v1", "tiny-model", "top-secret")]
    lease = Lease.read(_paths(config).task("there", "sums").lease)
    assert lease == Lease("there", "sums", 3)
    assert backend.calls == []


def test_endpoints(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    assert server_endpoint(config, TINY, READY) == ENDPOINT
    moved = make_deployment(base_path="/api")
    assert server_endpoint(config, moved, READY).base_url == "http://127.0.0.1:4321/api"
    _paths(config).server("tiny").secrets.unlink()
    assert server_endpoint(config, TINY, READY).api_key is None
    monkeypatch.delenv("MY_KEY", raising=False)
    assert existing_endpoint(make_deployment(type="none", api_key_name="MY_KEY")).api_key is None
    assert existing_endpoint(make_deployment(type="none")).api_key is None


def test_an_endpoint_that_is_busy_is_waited_for(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    refusals = [BusyError("it is busy", "0"), BusyError("it is busy", "0.01")]

    def check(*_: object, **__: object) -> None:
        if refusals:
            raise refusals.pop()

    monkeypatch.setattr(serving, "check_endpoint", check)
    endpoint = Endpoint("http://gateway/v1", "m", None)
    serving._check_patiently(endpoint, Protocol.CHAT, 60.0, said.append)
    assert said == ["it is busy; asking again in 0 s"] * 2
    refusals.append(BusyError("it is busy", "30"))
    with pytest.raises(EndpointError, match=r"it is busy; waited for execution.readiness_timeout_s .10 s."):
        serving._check_patiently(endpoint, Protocol.CHAT, 10, said.append)
