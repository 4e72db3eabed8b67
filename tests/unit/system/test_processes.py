"""Processes are recognised by more than their id, and end even when they do not want to."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from snakeval.system.processes import (
    Mark,
    end_processes,
    family_of,
    is_alive,
    listens_on,
    opened,
    processes_of,
    start_time,
)
from workspace import eventually

WAITING = "import sys; print('up', flush=True); sys.stdin.read()"
# Not print: a signal may come while the program is still in its own.
BYE = r"lambda *_: (os.write(1, b'bye\n'), os._exit(0))"
POLITE = f"import os, signal; signal.signal(signal.SIGTERM, {BYE}); "
STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); "

Start = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture
def start() -> Iterator[Start]:
    """Start small Python programs, which have said that they are up; killed after the test."""
    started: list[subprocess.Popen[bytes]] = []

    def begin(prelude: str = "", **environment: str) -> "subprocess.Popen[bytes]":
        process = subprocess.Popen(
            [sys.executable, "-IS", "-c", prelude + WAITING],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        return process

    yield begin
    for process in started:
        process.kill()
        process.communicate()


def _gone() -> int:
    """Return the id of a process that has ended."""
    with subprocess.Popen(["true"]) as process:
        process.wait()
    return process.pid


def test_start_time_of_a_living_process_and_of_a_dead_one() -> None:
    assert start_time(os.getpid()) == psutil.Process().create_time()
    assert start_time(_gone()) is None


def test_a_zombie_is_dead(start: Start) -> None:
    process = start()
    started = start_time(process.pid)
    assert is_alive(process.pid, started)
    process.kill()
    eventually(lambda: psutil.Process(process.pid).status() == psutil.STATUS_ZOMBIE, 5, "a zombie")
    assert start_time(process.pid) is None
    assert not is_alive(process.pid, started)


def test_a_reused_process_id_is_another_process() -> None:
    started = start_time(os.getpid())
    assert started is not None
    assert is_alive(os.getpid(), started)
    assert is_alive(os.getpid(), started + 0.5)
    assert not is_alive(os.getpid(), started - 100)
    assert not is_alive(os.getpid(), started + 100)
    assert not is_alive(os.getpid(), None)
    assert not is_alive(_gone(), started)


def test_processes_are_found_by_the_server_that_they_belong_to(start: Start, tmp_path: Path) -> None:
    mark, longer = Mark("one", tmp_path / "a"), Mark("one-two", tmp_path / "a")
    ours, other, none = start(**mark.variables), start(**longer.variables), start()
    assert [process.pid for process in processes_of(mark)] == [ours.pid]
    assert [process.pid for process in processes_of(longer)] == [other.pid]
    assert processes_of(Mark("two", tmp_path / "a")) == []
    ours.kill()
    eventually(lambda: processes_of(mark) == [], 5, "its end")
    assert none.poll() is None


def test_neither_id_nor_folder_alone_makes_a_process_ours(start: Start, tmp_path: Path) -> None:
    start(**Mark("one", tmp_path / "a").variables)
    start(SNAKEVAL_SERVER_ID="one")
    start(SNAKEVAL_SERVER_FOLDER=str(tmp_path / "a"))
    for mark in (Mark("one", tmp_path / "b"), Mark("two", tmp_path / "a"), Mark("", Path())):
        assert processes_of(mark) == []


def test_what_a_process_keeps_open(start: Start, tmp_path: Path) -> None:
    descriptor = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    assert str(tmp_path.resolve()) in opened(os.getpid())
    assert str(tmp_path.resolve()) not in opened(start().pid)
    os.close(descriptor)
    assert str(tmp_path.resolve()) not in opened(os.getpid())
    assert opened(_gone()) == set()


def test_only_the_family_of_a_process_listens(start: Start) -> None:
    child = start()
    with socket.socket() as listening, socket.socket() as bound:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        bound.bind(("127.0.0.1", 0))
        port = listening.getsockname()[1]
        assert listens_on(family_of(os.getpid()), port)
        assert not listens_on(family_of(child.pid), port)
        assert not listens_on(family_of(os.getpid()), bound.getsockname()[1])
        assert not listens_on(family_of(_gone()), port)
        assert listens_on(family_of(os.getppid()), port)


def test_processes_end_politely(start: Start) -> None:
    process = start(POLITE)
    end_processes([psutil.Process(process.pid)], patience_s=10)
    assert psutil.Process(process.pid).status() == psutil.STATUS_ZOMBIE, "ended, and not reaped by us"
    assert process.communicate()[0] == b"bye\n"
    assert process.returncode == 0, "the exit status is still there for its starter"


def test_what_ignores_sigterm_is_killed(start: Start) -> None:
    stubborn, polite = start(STUBBORN), start(POLITE)
    began = time.monotonic()
    end_processes([psutil.Process(one.pid) for one in (stubborn, polite)], patience_s=0.3)
    assert 0.3 <= time.monotonic() - began < 5
    assert stubborn.wait(timeout=5) == -signal.SIGKILL
    assert polite.communicate()[0] == b"bye\n"


def test_processes_that_are_gone_are_fine(start: Start) -> None:
    process = start()
    gone = psutil.Process(process.pid)
    process.kill()
    process.wait()
    end_processes([gone], patience_s=1)
    end_processes([], patience_s=1)
