"""The main Snakemake's sign of life, as its jobs on other machines see it."""

import os
from pathlib import Path

import pytest
from snakeval.run import heartbeat
from snakeval.run.heartbeat import Heartbeat, Owner, SessionWatch
from snakeval.run.paths import RunPaths
from snakeval.run.session import SessionRecord, read_session
from workspace import eventually


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SNAKEVAL_SESSION", "mine")
    return tmp_path / "session.json"


def test_beats_until_its_end(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heartbeat, "BEAT_S", 0.01)
    beating = Heartbeat(file)
    beating.begin("mine")
    owner = Owner.read(file)
    assert owner is not None
    assert (owner.session, owner.pid) == ("mine", os.getpid())
    os.utime(file, (1, 1))
    eventually(lambda: file.stat().st_mtime > 1, 10, "a beat")
    assert SessionWatch(file).ended() is None
    beating.end()
    beating.end()
    assert not file.exists()
    assert SessionWatch(file).ended() == "the Snakemake that submitted this job no longer works on the run"


def test_ending_without_a_beginning_leaves_another_owners_file_alone(file: Path) -> None:
    Owner("other").write(file)
    Heartbeat(file).end()
    assert file.exists()
    assert "no longer works on the run" in str(SessionWatch(file).ended())


def test_silence_is_measured_on_our_own_clock(file: Path) -> None:
    Owner("mine").write(file)
    # The other machine's clock is years behind.
    os.utime(file, (1, 1))
    patient, impatient = SessionWatch(file), SessionWatch(file, patience_s=0.0)
    impatient.ended()
    assert str(impatient.ended()).startswith("the Snakemake that submitted this job has given no sign of life for")
    assert patient.ended() is None


def test_a_job_that_nobody_submitted_goes_on(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SNAKEVAL_SESSION")
    assert SessionWatch(file).ended() is None


def test_a_sign_of_life_that_cannot_be_looked_at_is_none(tmp_path: Path) -> None:
    paths = RunPaths(tmp_path)
    SessionRecord().write(paths.snakemake)
    paths.session.symlink_to(paths.session)
    record = read_session(paths)
    assert record is not None
    assert record.silent
