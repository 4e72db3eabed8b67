"""Proves who is at the other end of a connection: the process that was started, and nobody who has taken its port.

A port can change hands while a server restarts; an established connection cannot. So each connection is checked once,
before anything is sent. On this machine the kernel tells which socket is the other end, and which process holds that
socket. On another one the server's supervisor says again and again that the server lives and listens: where it says so
after a connection was made, that connection leads to the server.
Source: proc(5), `/proc/net/tcp` and `/proc/[pid]/fd`.
"""

import asyncio
import socket
import struct
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

from snakeval.run.paths import ServerPaths
from snakeval.run.server import ANSWERING, ServerRecord
from snakeval.system.processes import Mark, family_of, keeps_open, processes_of

Address = tuple[str, int]
STRANGER = "another process than the server answers on its port"
# The clocks of two machines of a cluster differ by less.
SKEW_S = 2.0
SILENCE_S = 30.0
POLL_S = 0.25
_TABLES = ("tcp", "tcp6")
_LISTENS = "0A"


class ServerProof:
    """Who has to answer: the server of a run that its record tells of, wherever it runs.

    Args:
        files: Of the server.
    """

    def __init__(self, files: ServerPaths) -> None:
        self._files = files
        self._owner: Owner | None = None
        self._mark: Mark | None = None

    async def stranger(self, transport: asyncio.BaseTransport) -> str | None:
        """Return why the other end of a connection is not the server, None when it is; see `Proof` of `upstream`."""
        peer, own = transport.get_extra_info("peername"), transport.get_extra_info("sockname")
        record = ServerRecord.read(self._files.state)
        if peer is None or own is None or record is None or record.state not in ANSWERING:
            return "no server of the run answers right now"
        if _plain(peer[0]) == _plain(own[0]):
            return self._owner_of(record).stranger(peer[:2], own[:2])
        return await self._unheard(record, peer[:2])

    def _owner_of(self, record: ServerRecord) -> "Owner":
        mark = Mark.of(self._files.folder, record.server_id)
        if self._owner is None or mark != self._mark:
            self._owner, self._mark = Owner(mark), mark
        return self._owner

    async def _unheard(self, then: ServerRecord, peer: Address) -> str | None:
        """Wait until the supervisor says that the server lives that lived when the connection was made."""
        made, began = time.time(), time.monotonic()
        if then.host is None or (socket.gethostbyname(then.host), then.port) != (_plain(peer[0]), peer[1]):
            return STRANGER
        while time.monotonic() - began < SILENCE_S:
            now = ServerRecord.read(self._files.state)
            if now is None or _process(now) != _process(then) or now.state not in ANSWERING:
                return "the server was started again when the connection was made"
            if now.alive_at is not None and now.alive_at > made + SKEW_S:
                return None
            await asyncio.sleep(POLL_S)
        return f"the server has given no sign of life for {SILENCE_S:.0f} s"


def _process(record: ServerRecord) -> tuple[str, int, int]:
    return record.server_id, record.incarnation, record.generation


class Owner:
    """The processes of one start of a server on this machine: those with its mark, and what they have started.

    Args:
        mark: Of the start.
    """

    def __init__(self, mark: Mark) -> None:
        self._mark = mark
        self._family: list[psutil.Process] = []

    def stranger(self, peer: Address, own: Address) -> str | None:
        """Return why the other end of a connection is none of them, None when it is.

        Args:
            peer: Address of the other end.
            own: Address of our end.
        """
        inode = socket_inode(peer, own)
        if inode is None:
            return "the connection was gone before it was known who answers"
        # What was not accepted yet belongs to who listens; it is lost when that one ends.
        sockets = [inode] if inode else listening_inodes(peer)
        return None if sockets and all(map(self._hold, sockets)) else STRANGER

    def _hold(self, inode: int) -> bool:
        if self._one_holds(inode):
            return True
        # A server forks while it lives, and some of its processes write over their environment.
        found = (one for carrier in processes_of(self._mark) for one in family_of(carrier.pid))
        self._family = list({one.pid: one for one in found}.values())
        return self._one_holds(inode)

    def _one_holds(self, inode: int) -> bool:
        return any(keeps_open(process.pid, f"socket:[{inode}]") for process in self._family if process.is_running())


def socket_inode(local: Address, remote: Address) -> int | None:
    """Return the inode of the TCP socket of this machine with these addresses.

    Args:
        local: The socket's own address: for the other end of a connection, what that connection calls its peer.
        remote: The other end's.

    Returns:
        0 as long as no process has accepted the connection; None when there is no such socket.
    """
    wanted = (_plain(local[0]), local[1]), (_plain(remote[0]), remote[1])
    return next((int(row[9]) for row in _all_rows() if (_address(row[1]), _address(row[2])) == wanted), None)


def listening_inodes(address: Address) -> list[int]:
    """Return the inodes of the sockets of this machine that listen on an address, or on its port of all addresses."""
    wanted = [(host, address[1]) for host in (_plain(address[0]), "0.0.0.0", "::")]
    return [int(row[9]) for row in _all_rows() if row[3] == _LISTENS and _address(row[1]) in wanted]


def _all_rows() -> Iterator[list[str]]:
    return (row for name in _TABLES for row in _rows(name))


def _rows(name: str) -> list[list[str]]:
    try:
        lines = Path(f"/proc/net/{name}").read_text(encoding="ascii").splitlines()
    except OSError:
        return []
    return [line.split() for line in lines[1:]]


def _address(text: str) -> Address:
    """Return "0100007F:1F90" as ("127.0.0.1", 8080): each group of four bytes in the order of this machine."""
    host, _, port = text.partition(":")
    groups = [int(host[place : place + 8], 16) for place in range(0, len(host), 8)]
    packed = b"".join(struct.pack("=I", group) for group in groups)
    family = socket.AF_INET if len(packed) == 4 else socket.AF_INET6
    return _plain(socket.inet_ntop(family, packed)), int(port, 16)


def _plain(host: str) -> str:
    """Return an address of IPv4 inside IPv6 as one of IPv4."""
    return host.removeprefix("::ffff:")
