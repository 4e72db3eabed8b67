"""Looking at and ending processes of this machine, safely against reused process ids."""

import contextlib
import signal
import time
from collections.abc import Sequence

import psutil

POLL_S = 0.05
KILL_PATIENCE_S = 5.0
SERVER_ID_VARIABLE = "SNAKEVAL_SERVER_ID"
SESSION_VARIABLE = "SNAKEVAL_SESSION"


def start_time(pid: int) -> float | None:
    """Return when the process started (seconds since the epoch), None when it is gone or a zombie."""
    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return None
        return float(process.create_time())
    except psutil.Error:
        return None


def is_alive(pid: int, started: float | None) -> bool:
    """Return whether the very process that had `pid` and start time `started` still lives."""
    now = start_time(pid)
    return now is not None and started is not None and abs(now - started) < 1.0


def processes_of(server_id: str) -> list[psutil.Process]:
    """Return every process whose environment carries this server's id, wherever it has been reparented."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(SERVER_ID_VARIABLE) == server_id and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except psutil.Error:
            continue
    return found


def family_of(pid: int) -> list[psutil.Process]:
    """Return the process and its descendants; nothing when it is gone."""
    try:
        leader = psutil.Process(pid)
        return [leader, *leader.children(recursive=True)]
    except psutil.Error:
        return []


def listens_on(processes: Sequence[psutil.Process], port: int) -> bool:
    """Return whether one of the processes has a listening socket on the port."""
    for process in processes:
        try:
            sockets = process.net_connections(kind="tcp")
        except psutil.Error:
            continue
        if any(one.status == psutil.CONN_LISTEN and one.laddr.port == port for one in sockets):
            return True
    return False


def end_processes(processes: Sequence[psutil.Process], patience_s: float) -> None:
    """Send SIGTERM to all, wait up to `patience_s` seconds, then SIGKILL; processes that are gone are fine.

    Nobody is reaped: a child's exit status stays for the one who started it.
    """
    _send(processes, signal.SIGTERM)
    _send(_await_end(processes, patience_s), signal.SIGKILL)
    _await_end(processes, KILL_PATIENCE_S)


def _send(processes: Sequence[psutil.Process], number: signal.Signals) -> None:
    for process in processes:
        with contextlib.suppress(psutil.Error):
            process.send_signal(number)


def _await_end(processes: Sequence[psutil.Process], patience_s: float) -> list[psutil.Process]:
    """Return those that are still alive when all have ended or the time is over."""
    deadline = time.monotonic() + patience_s
    while (alive := [one for one in processes if _lives(one)]) and time.monotonic() < deadline:
        time.sleep(POLL_S)
    return alive


def _lives(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False
