"""How a server is reached: address and key of one and the same process, or not at all."""

from dataclasses import replace
from pathlib import Path

import pytest
from snakeval.run.paths import RunPaths, ServerPaths
from snakeval.run.server import Access, Registration, Secrets, ServerRecord, ServerState, present_access

READY = ServerRecord(ServerState.READY, "0123456789abcdef", generation=2, host="10.0.0.1", port=80)


@pytest.fixture
def files(tmp_path: Path) -> ServerPaths:
    files = RunPaths(tmp_path).server("tiny")
    READY.write(files.state)
    Secrets({"SNAKEVAL_API_KEY": "second"}, {}, generation=2).write(files.secrets)
    return files


def test_a_server_that_answers_is_reached_by_its_own_key(files: ServerPaths) -> None:
    access = present_access(files, {})
    assert access == Access(READY.server_id, 0, 2, "http://10.0.0.1:80", "second")
    assert "second" not in repr(access)
    replace(READY, state=ServerState.DRAINING).write(files.state)
    assert present_access(files, {}) == access


@pytest.mark.parametrize("state", sorted(set(ServerState) - {ServerState.READY, ServerState.DRAINING}))
def test_one_that_does_not_answer_is_not_reached(files: ServerPaths, state: ServerState) -> None:
    replace(READY, state=state).write(files.state)
    assert present_access(files, {}) is None


@pytest.mark.parametrize("generation", [1, 3])
def test_a_key_of_another_process_reaches_nothing(files: ServerPaths, generation: int) -> None:
    replace(READY, generation=generation).write(files.state)
    assert present_access(files, {}) is None


def test_one_key_for_all_processes(files: ServerPaths) -> None:
    """On Lepton, which restarts a server by itself; there the key may be the user's own."""
    replace(READY, url="https://a.example").write(files.state)
    Secrets({}, {}, "MY_KEY").write(files.secrets)
    access = present_access(files, {"MY_KEY": "mine"})
    assert access is not None
    assert (access.address, access.key) == ("https://a.example", "mine")


@pytest.mark.parametrize("name", ["state", "secrets"])
def test_without_record_or_secrets_there_is_no_way(files: ServerPaths, name: str) -> None:
    getattr(files, name).unlink()
    assert present_access(files, {}) is None


def test_every_process_gets_a_new_key_and_the_rest_stays() -> None:
    given = Secrets({"A": "x", "SNAKEVAL_API_KEY": "the user says"}, {"B": "C"})
    first, second = given.renewed(1), given.renewed(2)
    assert (first.generation, second.generation) == (1, 2)
    keys = {one.key({}) for one in (given, first, second)}
    assert len(keys) == 3
    assert replace(first, environment={}, generation=None) == replace(given, environment={})
    assert first.environment["A"] == "x"
    assert len(first.environment["SNAKEVAL_API_KEY"]) > 40


def test_a_sign_of_life_changes_nothing_else(files: ServerPaths) -> None:
    registration = Registration(files.state, READY.server_id, 0, 1.0)
    registration.beat(5.0)
    assert ServerRecord.read(files.state) == replace(READY, alive_at=5.0)


@pytest.mark.parametrize(
    "other",
    [
        replace(READY, state=ServerState.STOPPED),
        replace(READY, state=ServerState.STARTING),
        replace(READY, server_id="fedcba9876543210"),
        replace(READY, incarnation=1),
    ],
)
def test_there_is_no_sign_of_life_of_what_is_not_ours_or_does_not_answer(
    files: ServerPaths, other: ServerRecord
) -> None:
    other.write(files.state)
    Registration(files.state, READY.server_id, 0, 1.0).beat(5.0)
    assert ServerRecord.read(files.state) == other


def test_what_cannot_be_read_stays_as_it_is(files: ServerPaths) -> None:
    files.state.write_text("{")
    Registration(files.state, READY.server_id, 0, 1.0).beat(5.0)
    assert files.state.read_text() == "{"
