"""What an attempt writes of itself, and when it is believed to live."""

import os
import socket
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from snakeval.errors import HarnessError
from snakeval.run import attempt as attempts
from snakeval.run.attempt import (
    STALE_S,
    Attempt,
    AttemptWriter,
    Course,
    Progress,
    Stage,
    first_line,
    recorded_attempt,
)
from snakeval.system.files import write_json, write_text
from workspace import eventually

ATTEMPT = Attempt(Stage.EVALUATE, 1, 3, "a b")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "task" / "attempt.json"


def _read(file: Path) -> Attempt:
    attempt = Attempt.read(file)
    assert attempt is not None
    return attempt


def test_an_attempt_is_on_file_from_its_beginning_to_its_end(file: Path) -> None:
    with recorded_attempt(file, ATTEMPT):
        assert _read(file).course is Course.RUNNING
    ended = _read(file)
    assert (ended.course, ended.reason, ended.pid) == (Course.SUCCEEDED, None, os.getpid())
    assert ended.updated_at >= ended.started_at == ATTEMPT.started_at


@pytest.mark.parametrize(
    ("error", "course", "reason"),
    [
        (HarnessError("error: it is\nnot well"), Course.FAILED, "it is"),
        (ZeroDivisionError("by zero"), Course.FAILED, "ZeroDivisionError: by zero"),
        (KeyboardInterrupt(), Course.INTERRUPTED, None),
        (SystemExit(143), Course.INTERRUPTED, None),
    ],
)
def test_how_an_attempt_ended(file: Path, error: BaseException, course: Course, reason: str | None) -> None:
    with pytest.raises(type(error)), recorded_attempt(file, ATTEMPT):
        raise error
    assert (_read(file).course, _read(file).reason) == (course, reason)


def test_counts_reach_the_file_while_the_attempt_goes_on(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempts, "WRITE_EVERY_S", 0.01)
    with recorded_attempt(file, ATTEMPT) as writer:
        writer.count(None)
        writer.count(Progress(3, 20))
        eventually(lambda: (_read(file).done, _read(file).total) == (3, 20), 10)
    assert _read(file).done == 3


def test_the_heartbeat_goes_on_without_counts(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempts, "WRITE_EVERY_S", 0.01)
    monkeypatch.setattr(attempts, "BEAT_EVERY_S", 0.0)
    writer = AttemptWriter(file, ATTEMPT)
    first = _read(file).updated_at
    eventually(lambda: _read(file).updated_at > first, 10)
    writer.end(Course.SUCCEEDED)


def test_what_was_resumed_does_not_count_for_the_rate() -> None:
    attempt = ATTEMPT.counting(Progress(50, 100), now=10.0)
    assert (attempt.done, attempt.rate_per_s) == (50, None)
    attempt = attempt.counting(Progress(60, 100), now=15.0)
    assert (attempt.done, attempt.rate_per_s) == (60, 2.0)
    assert ATTEMPT.rate_per_s is None


@pytest.mark.parametrize("course", [Course.SUCCEEDED, Course.FAILED, Course.INTERRUPTED])
def test_an_attempt_that_has_ended_does_not_live(course: Course) -> None:
    assert not replace(ATTEMPT, course=course).lives(ATTEMPT.updated_at)


def test_on_this_machine_the_process_is_looked_up() -> None:
    assert ATTEMPT.machine == socket.gethostname()
    assert ATTEMPT.lives(ATTEMPT.updated_at + 1e6)
    assert not replace(ATTEMPT, process_start=1.0).lives(ATTEMPT.updated_at), "its number is another's now"
    assert not replace(ATTEMPT, pid=2**22 + 1).lives(ATTEMPT.updated_at)


def test_on_other_machines_the_heartbeat_tells() -> None:
    elsewhere = replace(ATTEMPT, machine="node17", pid=os.getpid())
    assert elsewhere.lives(ATTEMPT.updated_at + STALE_S - 1)
    assert not elsewhere.lives(ATTEMPT.updated_at + STALE_S + 1)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"stage": "ready"}', '{"stage": "dance", "course": "running"}'])
def test_other_files_are_no_attempt(file: Path, text: str) -> None:
    write_text(file, text)
    assert Attempt.read(file) is None
    assert Attempt.read(file.parent / "none.json") is None


@given(st.integers(0, 100), st.integers(0, 100), st.floats(0, 1e9), st.floats(0, 1e9))
def test_rates_are_never_negative(done: int, more: int, first: float, later: float) -> None:
    attempt = ATTEMPT.counting(Progress(done, 200), first).counting(Progress(done + more, 200), later)
    assert attempt.rate_per_s is None or attempt.rate_per_s >= 0


def test_a_file_of_a_later_version_is_read_as_far_as_it_is_understood(file: Path) -> None:
    write_json(file, asdict(ATTEMPT) | {"unheard_of": 1})
    assert Attempt.read(file) == ATTEMPT


def test_reasons_fit_into_a_line() -> None:
    assert first_line("error: a\nb") == "a"
    assert first_line("\n  a  \nb") == "a  "
    assert len(first_line("x" * 1000)) < 320
