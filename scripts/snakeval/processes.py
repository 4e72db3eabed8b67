"""Looking at and ending processes of this machine, safely against reused process ids."""

import signal
from collections.abc import Sequence

import psutil

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


def listens_on(pid: int, port: int) -> bool:
    """Return whether the process or one of its descendants, and nobody else, has the listening socket."""
    try:
        leader = psutil.Process(pid)
        family = [leader, *leader.children(recursive=True)]
    except psutil.Error:
        return False
    for process in family:
        try:
            sockets = process.net_connections(kind="tcp")
        except psutil.Error:
            continue
        if any(one.status == psutil.CONN_LISTEN and one.laddr.port == port for one in sockets):
            return True
    return False


def end_processes(processes: Sequence[psutil.Process], patience_s: float) -> None:
    """Send SIGTERM to all, wait up to `patience_s` seconds, then SIGKILL; processes that are gone are fine."""
    for process in processes:
        try:
            process.send_signal(signal.SIGTERM)
        except psutil.Error:
            continue
    _, alive = psutil.wait_procs(processes, timeout=patience_s)
    for process in alive:
        try:
            process.kill()
        except psutil.Error:
            continue
    psutil.wait_procs(alive, timeout=5)
