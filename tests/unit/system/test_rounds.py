"""Waiting in rounds, and saying what is waited for."""

from types import SimpleNamespace

import pytest
from snakeval.system import polling
from snakeval.system.polling import REPORT_S, Reminder, rounds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A clock that goes on only while somebody sleeps."""
    made = SimpleNamespace(now=100.0)

    def sleep(seconds: float) -> None:
        made.now += seconds

    monkeypatch.setattr(polling, "time", SimpleNamespace(monotonic=lambda: made.now, sleep=sleep))
    return made


def test_rounds_go_on_until_the_patience_is_over(clock: SimpleNamespace) -> None:
    assert list(rounds(2.0, 5.0)) == [0.0, 2.0, 4.0, 6.0]


def test_there_is_a_look_without_any_patience(clock: SimpleNamespace) -> None:
    assert list(rounds(2.0, -1.0)) == [0.0]
    assert clock.now == 100.0


def test_a_slow_look_counts_as_waiting(clock: SimpleNamespace) -> None:
    waited = []
    for waited_s in rounds(1.0, 10.0):
        waited.append(waited_s)
        clock.now += 8.0
    assert waited == [0.0, 9.0]


def test_a_line_is_said_again_and_again_but_not_too_often(clock: SimpleNamespace) -> None:
    said: list[str] = []
    reminder = Reminder(said.append)
    for waited_s in rounds(REPORT_S / 4, 2 * REPORT_S):
        reminder.remind(f"{waited_s:.0f} s")
    assert said == ["30 s", "60 s"]
