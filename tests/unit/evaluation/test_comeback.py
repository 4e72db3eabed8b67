"""A server that crashes, waits in a queue or moves: the gateway is told where it is, and the harness goes on."""

from dataclasses import replace
from pathlib import Path

import pytest
from builders import make_config, make_deployment, make_task
from fake_backend import FakeBackend
from snakeval.endpoint import Endpoint
from snakeval.errors import EndpointError
from snakeval.evaluation import comeback as module
from snakeval.evaluation.comeback import Comeback, ServerComesBack
from snakeval.run.gateway import Target
from snakeval.run.gateway_paths import GatewayPaths
from snakeval.run.heartbeat import SessionWatch
from snakeval.run.server import Server, ServerState
from snakeval.system.processes import SESSION_VARIABLE

READY = Server(ServerState.READY, server_id="one", generation=1, host="127.0.0.1", port=1)
STARTING = Server(ServerState.STARTING, "it crashed", server_id="one", generation=2, host="127.0.0.1", port=2)


def _endpoint(port: int | None, key: str = "first") -> Endpoint:
    return Endpoint(f"http://127.0.0.1:{port}/v1", "tiny", key)


@pytest.fixture
def backend() -> FakeBackend:
    return FakeBackend({"tiny": READY})


@pytest.fixture
def told() -> list[str]:
    return []


@pytest.fixture
def comeback(tmp_path: Path, backend: FakeBackend, told: list[str], monkeypatch: pytest.MonkeyPatch) -> Comeback:
    config = make_config(tmp_path / "results", [make_deployment()])
    config = replace(config, execution=replace(config.execution, max_restarts=1))
    monkeypatch.setattr(module, "server_endpoint", lambda _, __, server: _endpoint(server.port, "second"))
    files = GatewayPaths(tmp_path / "task")
    session = SessionWatch(tmp_path / "session.json")
    follower = Comeback(config, backend, make_deployment(), make_task(), 1, files, told.append, session, READY)
    follower.begin(_endpoint(1))
    return follower


def _target(comeback: Comeback) -> Target:
    target = Target.read(comeback.files.target)
    assert target is not None
    return target


def test_the_key_is_for_nobody_else_to_read(comeback: Comeback) -> None:
    assert comeback.files.target.stat().st_mode & 0o777 == 0o600
    assert "first" not in repr(_target(comeback))


def test_a_server_that_lives_needs_nothing(comeback: Comeback, told: list[str]) -> None:
    before = comeback.files.target.stat().st_mtime_ns
    comeback.check()
    assert (comeback.files.target.stat().st_mtime_ns, told) == (before, [])


def test_a_server_that_restarts_is_waited_for(
    comeback: Comeback, backend: FakeBackend, told: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def reach(*_: object) -> tuple[Server, Endpoint]:
        waited = _target(comeback)
        said = "the server of tiny was interrupted (it crashed)"
        assert (waited.base_url, waited.waiting_for) == ("http://127.0.0.1:1/v1", said)
        return replace(STARTING, state=ServerState.READY), _endpoint(2, "second")

    monkeypatch.setattr(module, "reach_deployment", reach)
    backend.servers["tiny"] = STARTING
    comeback.check()
    assert _target(comeback) == Target("http://127.0.0.1:2/v1", "second", "one.0.2")
    assert told == [
        "the server of tiny was interrupted (it crashed); requests wait for it",
        "the server of tiny is back",
    ]


def test_a_restart_that_nobody_saw_changes_the_target(comeback: Comeback, backend: FakeBackend) -> None:
    backend.servers["tiny"] = replace(READY, generation=2, port=2)
    comeback.check()
    assert _target(comeback).generation == "one.0.2"


def test_a_dead_server_is_started_again_as_often_as_it_may(
    comeback: Comeback, backend: FakeBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    again = Server(ServerState.READY, server_id="two", generation=1, host="127.0.0.1", port=3)
    monkeypatch.setattr(module, "reach_deployment", lambda *_: (again, _endpoint(3, "third")))
    backend.servers["tiny"] = replace(READY, state=ServerState.FAILED, reason="its supervisor is gone")
    comeback.check()
    assert _target(comeback) == Target("http://127.0.0.1:3/v1", "third", "two.0.1")
    with pytest.raises(EndpointError, match=r"died while the task ran .its supervisor is gone.; the end of its log"):
        comeback.check()


@pytest.mark.parametrize(
    ("now", "starts"),
    [
        (Server(ServerState.PENDING, "BeginTime", server_id="one", incarnation=1), 0),
        (Server(ServerState.FAILED, "NODE_FAIL", server_id="one"), 1),
    ],
)
def test_what_ran_inside_its_job_begins_anew(
    now: Server, starts: int, comeback: Comeback, backend: FakeBackend
) -> None:
    comeback.server = replace(READY, allocation="17")
    backend.servers["tiny"] = now
    with pytest.raises(
        ServerComesBack, match=r"the server of tiny (was interrupted|died while the task ran)"
    ) as raised:
        comeback.check()
    assert raised.value.starts == starts


def test_a_key_of_another_process_is_never_sent(
    comeback: Comeback, backend: FakeBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> Endpoint:
        raise EndpointError("the server of tiny is being started again")

    monkeypatch.setattr(module, "server_endpoint", refuse)
    backend.servers["tiny"] = replace(READY, generation=2)
    comeback.check()
    assert _target(comeback).waiting_for == "the server of tiny is being started again"


def test_what_was_stopped_on_purpose_is_not_started_again(comeback: Comeback, backend: FakeBackend) -> None:
    backend.servers["tiny"] = replace(READY, state=ServerState.STOPPED, reason="stopped")
    with pytest.raises(EndpointError, match=r"died while the task ran .stopped.;"):
        comeback.check()


def test_after_the_end_of_the_run_no_server_is_started(
    comeback: Comeback, backend: FakeBackend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(SESSION_VARIABLE, "ours")
    comeback.session = SessionWatch(tmp_path / "session.json")
    backend.servers["tiny"] = replace(READY, state=ServerState.FAILED, reason="cancelled")
    with pytest.raises(EndpointError, match="no longer works on the run"):
        comeback.check()
