"""Looking at and ending processes of this machine, safely against reused process ids."""

import contextlib
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

POLL_S = 0.05
KILL_PATIENCE_S = 5.0
SERVER_ID_VARIABLE = "SNAKEVAL_SERVER_ID"
SERVER_FOLDER_VARIABLE = "SNAKEVAL_SERVER_FOLDER"
SESSION_VARIABLE = "SNAKEVAL_SESSION"


@dataclass(frozen=True)
class Mark:
    """What all processes of one server have in their environment, and no other process has.

    A file can name any server's id, so the id alone says nothing: the folder has to be the one that the file lies in.

    Attributes:
        server_id: Of one start of the server.
        folder: Of the server's files, absolute.
    """

    server_id: str
    folder: Path

    @classmethod
    def of(cls, folder: Path, server_id: str) -> "Mark":
        """Return the mark of one start of a server whose files are in `<run>/<deployment>/server`.

        The way to the run may lead over links. Within the run none is followed: it could lead to the server of another
        run, which would then be taken for ours.
        """
        run = folder.absolute().parents[1]
        return cls(server_id, run.resolve() / folder.absolute().relative_to(run))

    @property
    def variables(self) -> dict[str, str]:
        """The variables of the environment."""
        return {SERVER_ID_VARIABLE: self.server_id, SERVER_FOLDER_VARIABLE: str(self.folder)}


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


def processes_of(mark: Mark) -> list[psutil.Process]:
    """Return every process whose environment carries the mark of a server, wherever it has been reparented."""
    found = []
    for process in psutil.process_iter():
        try:
            carries = mark.variables.items() <= process.environ().items()
            if carries and process.status() != psutil.STATUS_ZOMBIE:
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


def opened(pid: int) -> set[str]:
    """Return what a process has open: real paths, and "socket:[INODE]"; nothing of one that is gone or another user's.

    Source: proc(5), `/proc/[pid]/fd`.
    """
    found = set()
    with contextlib.suppress(OSError):
        for link in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                found.add(str(link.readlink()))
    return found


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
