"""What is done again and again in a thread of its own."""

import threading

import pytest
from snakeval.system.periodic import Periodic
from workspace import eventually


def test_it_is_done_again_and_again_until_the_end() -> None:
    done: list[threading.Thread] = []
    with Periodic(lambda: done.append(threading.current_thread()), 0.001):
        eventually(lambda: len(done) >= 3)
    after = len(done)
    assert set(done) == {done[0]}
    assert done[0] is not threading.main_thread()
    assert not done[0].is_alive()
    assert len(done) == after


def test_it_ends_with_a_block_that_fails() -> None:
    beats = Periodic(lambda: None, 0.001)
    with pytest.raises(ValueError, match="no"), beats:
        raise ValueError("no")
    beats.end()


def test_it_may_end_before_it_began() -> None:
    Periodic(lambda: None, 1.0).end()
