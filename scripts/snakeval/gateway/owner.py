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
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from snakeval.run.paths import ServerPaths
from snakeval.run.server import ANSWERING, ServerRecord
from snakeval.system.processes import Mark, family_of, opened, processes_of

Address = tuple[str, int]
STRANGER = "another process than the server answers on its port"
# The clocks of two machines of a cluster differ by less.
SKEW_S = 2.0
SILENCE_S = 30.0
POLL_S = 0.25
GATHER_S = 0.005
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
        peer, own = _plain(peer), _plain(own)
        if peer[0] == own[0]:
            made = time.monotonic()
            # One look is enough for all connections that are made together.
            await asyncio.sleep(GATHER_S)
            return self._owner_of(record).stranger(peer, own, made)
        return await self._unheard(record, peer)

    def _owner_of(self, record: ServerRecord) -> "Owner":
        mark = Mark.of(self._files.folder, record.server_id)
        if self._owner is None or mark != self._mark:
            self._owner, self._mark = Owner(mark), mark
        return self._owner

    async def _unheard(self, then: ServerRecord, peer: Address) -> str | None:
        """Wait until the supervisor says that the server lives that lived when the connection was made."""
        made, began = time.time(), time.monotonic()
        if then.host is None or (socket.gethostbyname(then.host), then.port) != peer:
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
        self._looked = float("-inf")
        self._sockets = Sockets({}, {})
        self._held: set[int] = set()
        self._is_family_known = False

    def stranger(self, peer: Address, own: Address, made: float = float("inf")) -> str | None:
        """Return why the other end of a connection is none of them, None when it is.

        Args:
            peer: Address of the other end.
            own: Address of our end.
            made: When the connection was there, by the monotonic clock; a look that was later is enough.
        """
        if self._looked < made:
            self._looked, self._is_family_known = time.monotonic(), False
            self._sockets, self._held = read_sockets(), held_sockets(self._family)
        inode = self._sockets.connected.get((_plain(peer), _plain(own)))
        if inode is None:
            return "the connection was gone before it was known who answers"
        # What was not accepted yet belongs to who listens; it is lost when that one ends.
        wanted = [inode] if inode else self._sockets.listening_on(peer)
        return None if wanted and all(map(self._hold, wanted)) else STRANGER

    def _hold(self, inode: int) -> bool:
        if inode not in self._held and not self._is_family_known:
            # A server forks while it lives, and some of its processes write over their environment.
            found = (one for carrier in processes_of(self._mark) for one in family_of(carrier.pid))
            self._family = list({one.pid: one for one in found}.values())
            self._held, self._is_family_known = held_sockets(self._family), True
        return inode in self._held


@dataclass(frozen=True)
class Sockets:
    """The TCP sockets of this machine.

    Attributes:
        connected: Own and other address -> inode; 0 as long as no process has accepted the connection.
        listening: Address -> inodes.
    """

    connected: dict[tuple[Address, Address], int]
    listening: dict[Address, list[int]]

    def listening_on(self, address: Address) -> list[int]:
        """Return the inodes of those that listen on an address, or on its port of all addresses."""
        hosts = (_plain(address)[0], "0.0.0.0", "::")
        return [inode for host in hosts for inode in self.listening.get((host, address[1]), ())]


def read_sockets() -> Sockets:
    """Return the sockets that there are right now."""
    sockets = Sockets({}, {})
    for row in (row for name in _TABLES for row in _rows(name)):
        own, other, inode = _address(row[1]), _address(row[2]), int(row[9])
        if row[3] == _LISTENS:
            sockets.listening.setdefault(own, []).append(inode)
        else:
            sockets.connected[own, other] = inode
    return sockets


def held_sockets(processes: Sequence[psutil.Process]) -> set[int]:
    """Return the inodes of the sockets that living processes have open."""
    targets = (target for process in processes if process.is_running() for target in opened(process.pid))
    return {int(target[8:-1]) for target in targets if target.startswith("socket:[")}


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
    return _plain((socket.inet_ntop(family, packed), int(port, 16)))


def _plain(address: Address) -> Address:
    """Return an address of IPv4 inside IPv6 as one of IPv4."""
    return address[0].removeprefix("::ffff:"), address[1]
