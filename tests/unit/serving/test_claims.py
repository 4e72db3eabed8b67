"""Leases, heartbeats and slots: who keeps a server, and who has to wait for one."""

import os
import socket
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
from builders import make_config, make_deployment
from fake_backend import FakeBackend
from hypothesis import given
from hypothesis import strategies as st
from snakeval.config.model import Config
from snakeval.errors import EndpointError
from snakeval.run import claims
from snakeval.run.claims import Holder, claim, is_held
from snakeval.run.paths import RunPaths
from snakeval.run.server import CLAIM_STALE_S, Server, ServerState
from snakeval.serving import slots
from snakeval.serving.slots import slot
from snakeval.system import polling
from snakeval.system.files import HeldLock, write_json
from workspace import eventually

READY = Server(ServerState.READY)


def _config(output_dir: Path, max_deployments: int = 1) -> Config:
    deployments = [make_deployment(name) for name in "abc"]
    return make_config(output_dir, deployments, max_deployments=max_deployments)


@pytest.fixture
def paths(tmp_path: Path) -> RunPaths:
    return RunPaths(tmp_path / "demo")


def _age(file: Path, seconds: float) -> None:
    os.utime(file, (time.time() - seconds,) * 2)


def _lease(paths: RunPaths, deployment: str) -> Path:
    lease = paths.task(deployment, "sums").lease
    write_json(lease, {})
    return lease


def _is_free(path: Path) -> bool:
    lock = HeldLock(path)
    try:
        return lock.acquire()
    finally:
        lock.release()


def _when_waiting(monkeypatch: pytest.MonkeyPatch, action: Callable[[], object]) -> None:
    """Do something instead of sleeping: what would happen meanwhile."""
    clock = SimpleNamespace(time=time.time, monotonic=time.monotonic, sleep=lambda _: action())
    monkeypatch.setattr(polling, "time", clock)


def test_a_claim_beats_until_its_end(paths: RunPaths, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claims, "HEARTBEAT_S", 0.01)
    folder = paths.server("a").claims
    with pytest.raises(KeyError), claim(paths, "a", "sums"):
        file = folder / f"sums@{socket.gethostname()}.{os.getpid()}"
        assert list(folder.iterdir()) == [file]
        for _ in range(2):
            _age(file, 1000)
            eventually(lambda: time.time() - file.stat().st_mtime < 100, 5, "a heartbeat")
        raise KeyError
    assert list(folder.iterdir()) == []


@given(st.text(min_size=1), st.from_regex(r"[a-z0-9-]+(\.[a-z0-9-]+)*", fullmatch=True), st.integers(1, 2**31 - 1))
def test_the_name_of_a_claim_tells_who_holds_it(task: str, host: str, pid: int) -> None:
    holder = Holder(task, host, pid)
    assert Holder.of_file_name(holder.file_name) == holder


@given(st.text())
def test_other_names_tell_of_nobody(name: str) -> None:
    holder = Holder.of_file_name(name)
    assert holder is None or "@" in name
    assert Holder.of_file_name("sums.1") is None
    assert Holder.of_file_name("sums@here.9999999999") is None


def test_a_living_claim_or_a_lease_holds(paths: RunPaths) -> None:
    assert not is_held(paths, "a")
    with claim(paths, "a", "sums"):
        assert is_held(paths, "a")
        assert not is_held(paths, "b")
    assert not is_held(paths, "a")
    lease = _lease(paths, "a")
    assert is_held(paths, "a")
    assert not is_held(paths, "b")
    lease.unlink()
    assert not is_held(paths, "a")


def test_the_claim_of_a_dead_process_holds_for_a_while(paths: RunPaths) -> None:
    file = paths.server("a").claims / "sums.1"
    file.parent.mkdir(parents=True)
    file.touch()
    _age(file, CLAIM_STALE_S - 5)
    assert is_held(paths, "a")
    _age(file, CLAIM_STALE_S + 5)
    assert not is_held(paths, "a")


def test_a_free_slot_is_taken_at_once(tmp_path: Path, paths: RunPaths) -> None:
    backend, said = FakeBackend({"a": READY}), list[str]()
    with slot(_config(tmp_path), paths, backend, "a", "sums", said.append):
        assert is_held(paths, "a")
        assert _is_free(paths.slots_lock)
    assert not is_held(paths, "a")
    assert (backend.calls, said) == ([], [])


def test_who_outlives_snakemake_takes_no_slot(tmp_path: Path, paths: RunPaths, monkeypatch: pytest.MonkeyPatch) -> None:
    living = (os.getpid(), psutil.Process().create_time())
    monkeypatch.setattr(slots, "snakemake_process", lambda: living)
    with slot(_config(tmp_path), paths, FakeBackend({}), "a", "sums", lambda _: None):
        assert is_held(paths, "a")
    monkeypatch.setattr(slots, "snakemake_process", lambda: (os.getpid(), 0.0))
    with (
        pytest.raises(EndpointError, match="Snakemake is gone"),
        slot(_config(tmp_path), paths, FakeBackend({}), "a", "sums", lambda _: None),
    ):
        pass
    assert not is_held(paths, "a")


@pytest.mark.parametrize("held_by", ["lease", "claim"])
def test_a_slot_waits_for_another_deployment_and_stops_its_idle_server(
    held_by: str, tmp_path: Path, paths: RunPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(polling, "REPORT_S", 0)
    backend, said, waits = FakeBackend({"a": READY, "b": READY}), list[str](), list[bool]()
    holder = _lease(paths, "a") if held_by == "lease" else paths.server("a").claims / "sums.1"
    holder.parent.mkdir(parents=True, exist_ok=True)
    holder.touch()

    def meanwhile() -> None:
        # Whoever waits holds nothing, and lets others in.
        waits.append(is_held(paths, "b") or not _is_free(paths.slots_lock))
        assert backend.calls == []
        if len(waits) == 3:
            holder.unlink()

    _when_waiting(monkeypatch, meanwhile)
    with slot(_config(tmp_path), paths, backend, "b", "sums", said.append):
        assert backend.calls == ["stop a"]
        assert is_held(paths, "b")
    assert waits == [False] * 3
    assert said == [
        *["waiting for the tasks of a to end (execution.max_deployments: 1)"] * 3,
        "stopping the server of a, which no task needs right now, to make room",
    ]


def test_two_deployments_may_have_servers(tmp_path: Path, paths: RunPaths, monkeypatch: pytest.MonkeyPatch) -> None:
    _when_waiting(monkeypatch, lambda: pytest.fail("it waits"))
    backend = FakeBackend({"a": READY})
    _lease(paths, "a")
    config = _config(tmp_path, max_deployments=2)
    with slot(config, paths, backend, "b", "sums", lambda _: None):
        _when_waiting(monkeypatch, lambda: paths.task("a", "sums").lease.unlink())
        with slot(config, paths, backend, "c", "sums", lambda _: None):
            assert backend.calls == ["stop a"]
            assert is_held(paths, "b")


def test_a_stopped_server_is_not_stopped_again(tmp_path: Path, paths: RunPaths) -> None:
    backend = FakeBackend({"a": Server(ServerState.FAILED), "c": Server(ServerState.STARTING)})
    with slot(_config(tmp_path), paths, backend, "b", "sums", lambda _: None):
        assert backend.calls == ["stop c"]


@pytest.mark.parametrize(("limit", "stopped"), [(1, ["stop a", "stop c"]), (2, ["stop a"]), (3, [])])
def test_idle_servers_stay_where_there_is_room(limit: int, stopped: list[str], tmp_path: Path, paths: RunPaths) -> None:
    """A deployment between two of its tasks is idle for a moment; its model is not loaded twice for that."""
    backend = FakeBackend(dict.fromkeys("abc", READY))
    config = make_config(tmp_path, [make_deployment(name) for name in "abc"], max_deployments=limit)
    with slot(config, paths, backend, "b", "sums", lambda _: None):
        assert backend.calls == stopped
