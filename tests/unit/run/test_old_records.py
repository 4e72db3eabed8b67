"""Records of version 0.1 are still read: real ones of two runs, and those of clusters as it wrote them."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import pytest
from snakeval.backends.local import Starter
from snakeval.backends.slurm.queue import Answer, JobRow
from snakeval.run.attempt import Attempt, Course, Stage
from snakeval.run.deployment import ServedDeployment, ServerTeardown, Teardown
from snakeval.run.failures import FailedStarts
from snakeval.run.heartbeat import Owner
from snakeval.run.lease import Lease
from snakeval.run.paths import RunPaths
from snakeval.run.record import Damage, Record
from snakeval.run.server import Secrets, ServerRecord, ServerState
from snakeval.run.session import SessionRecord, StopMark
from workspace import REPOSITORY

RESULTS = REPOSITORY / "tests" / "fixtures" / "results-0.1"
HALTED = RunPaths(RESULTS / "halted")
KINDS: Mapping[str, type[Record]] = {
    "attempt.json": Attempt,
    "deployment.json": ServedDeployment,
    "failures.json": FailedStarts,
    "lease.json": Lease,
    "secrets.json": Secrets,
    "session.json": Owner,
    "snakemake.json": SessionRecord,
    "state.json": ServerRecord,
    "stopped.json": StopMark,
    "supervisor.json": Starter,
    "teardown.json": ServerTeardown,
}
FILES = sorted(file for file in RESULTS.rglob("*.json") if file.parent.name != "harness" and file.name in KINDS)


R = TypeVar("R", bound=Record)


def _read(kind: type[R], file: Path) -> R:
    told: list[Damage] = []
    record = kind.read(file, told.append)
    assert (told, record is None) == ([], False)
    assert record is not None
    return record


def test_there_is_one_of_each() -> None:
    assert {file.name for file in FILES} == set(KINDS)


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(RESULTS)))
def test_every_field_of_an_old_record_is_read(file: Path) -> None:
    record = _read(KINDS[file.name], file)
    for name, value in json.loads(file.read_text(encoding="utf-8")).items():
        assert getattr(record, name) == value, name


def test_what_old_records_say() -> None:
    assert _read(Attempt, HALTED.task("a", "larger_number").attempt).course is Course.RUNNING
    assert _read(Attempt, HALTED.task("c", "sums").attempt).stage is Stage.READY
    assert _read(Lease, HALTED.task("a", "larger_number").lease).last_attempt == 3
    assert _read(ServerRecord, HALTED.server("a").state).state is ServerState.READY
    assert _read(Secrets, HALTED.server("a").secrets).environment == {
        "SNAKEVAL_API_KEY": "key-of-a-server-that-is-gone"
    }
    assert _read(FailedStarts, HALTED.server("c").failures).count == 3
    session = _read(SessionRecord, HALTED.snakemake)
    assert session.name == _read(Owner, HALTED.session).session == _read(StopMark, HALTED.server("b").stopped).session


# As it wrote them on clusters: what was not known was null, and every field of the backend was there from the start.
STATE: Mapping[str, Any] = {
    "reason": None,
    "server_id": "1f" * 8,
    "definition": "2e",
    "generation": 0,
    "incarnation": 0,
}
SLURM = {"job_id": None, "session": "", "used_s": 0.0, "started_at": 1.5, "updated_at": 1.5}
LEPTON = {"restarts": 0, "endpoint": "sv-1", "url": None, "min_replicas": 1, "named_token": None, "started_at": 1.5}
ROW = {"job_id": "7", "state": "RUNNING", "reason": "None", "restarts": 0, "nodes": "n1", "name": "snakeval-demo"}
CLUSTERS: list[tuple[Mapping[str, Any], Record]] = [
    (
        {"state": "PENDING", **STATE, **SLURM},
        ServerRecord(
            ServerState.PENDING, "1f" * 8, definition="2e", session="", used_s=0.0, started_at=1.5, updated_at=1.5
        ),
    ),
    (
        {"state": "READY", **STATE, **LEPTON, "missing": 0, "asleep": False, "waking": False, "wanted": True},
        ServerRecord(
            ServerState.READY,
            "1f" * 8,
            definition="2e",
            restarts=0,
            endpoint="sv-1",
            min_replicas=1,
            started_at=1.5,
            wanted=True,
        ),
    ),
    ({"environment": {}, "runtime": {}, "key_variable": "KEY"}, Secrets({}, {}, "KEY")),
    ({"at": 2.5, "rows": [ROW]}, Answer(2.5, (JobRow("7", "RUNNING", "None", 0, "n1", "snakeval-demo"),))),
    ({"deployment": "a", "type": "none", "torn_down_at": "now"}, Teardown("a", "none", "now")),
]


@pytest.mark.parametrize(("content", "record"), CLUSTERS)
def test_records_of_clusters(content: Mapping[str, Any], record: Record, tmp_path: Path) -> None:
    file = tmp_path / "record.json"
    file.write_text(json.dumps(content), encoding="utf-8")
    assert _read(type(record), file) == record
