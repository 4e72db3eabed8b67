"""Leases go with the last attempt of their task, however it failed."""

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from snakemake.logging import logger
from snakemake_interface_logger_plugins.common import LogEvent
from snakeval.run.lease import Lease
from snakeval.run.paths import RunPaths
from snakeval.workflow.abandoned import LOGGER, AbandonedLeases
from workspace import eventually

ATTEMPTS = 3


@pytest.fixture
def paths(tmp_path: Path) -> RunPaths:
    return RunPaths(tmp_path / "demo")


@pytest.fixture
def abandoned() -> Iterator[AbandonedLeases]:
    watcher = AbandonedLeases(ATTEMPTS)
    watcher.begin()
    yield watcher
    watcher.end()


def _lease(paths: RunPaths, task: str) -> Path:
    file = paths.task("a", task).lease
    Lease("a", task, ATTEMPTS).write(file)
    return file


def _fail(*inputs: Path, rule: str = "evaluate", job: int = 4) -> None:
    extra = {"event": LogEvent.JOB_ERROR, "rule_name": rule, "jobid": job, "input": [str(one) for one in inputs]}
    logger.error(f"Error in rule {rule}, jobid: {job}", extra=extra)


def test_it_listens_to_the_logger_of_snakemake() -> None:
    assert LOGGER is logger


def test_a_lease_stays_until_the_last_attempt_has_failed(abandoned: AbandonedLeases, paths: RunPaths) -> None:
    ours, others = _lease(paths, "sums"), _lease(paths, "products")
    auxiliary = paths.auxiliary("judge", "a", "sums").lease
    Lease("judge", "a@sums", ATTEMPTS).write(auxiliary)
    for _ in range(ATTEMPTS - 1):
        _fail(ours, auxiliary)
    # Failures of other jobs and rules, and other errors, are not ours.
    _fail(others, job=5)
    _fail(ours, auxiliary, rule="ready")
    logger.error("something else")
    assert ours.exists()
    _fail(ours, auxiliary)
    assert [file.exists() for file in (ours, auxiliary, others)] == [False, False, True]


def test_what_cannot_be_removed_now_is_removed_later(
    abandoned: AbandonedLeases, paths: RunPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    lease = _lease(paths, "sums")
    unlink = Path.unlink
    refused: list[Path] = []

    def refuse_once(file: Path, missing_ok: bool = False) -> None:
        if file == lease and not refused:
            refused.append(file)
            raise OSError(30, "Read-only file system")
        unlink(file, missing_ok)

    monkeypatch.setattr(Path, "unlink", refuse_once)
    for _ in range(ATTEMPTS):
        _fail(lease)
    eventually(lambda: not lease.exists())
    assert refused == [lease]


def test_after_its_end_it_removes_nothing(paths: RunPaths) -> None:
    watcher = AbandonedLeases(1)
    watcher.begin()
    watcher.end()
    watcher.end()
    lease = _lease(paths, "sums")
    _fail(lease)
    assert lease.exists()
    assert watcher not in logging.getLogger("snakemake.logging").handlers
