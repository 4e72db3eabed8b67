"""Proves who is at the other end of a connection: the process that was started, and nobody who has taken its port.

A port can change hands while a server restarts; an established connection cannot. So each connection is checked once,
when its first reply comes. The kernel tells which socket is the other end, and which process holds that socket.
Source: proc(5), `/proc/net/tcp` and `/proc/[pid]/fd`.
"""

import socket
import struct
import weakref
from pathlib import Path

import aiohttp
import psutil

from snakeval.system.processes import Mark, keeps_open, processes_of

Address = tuple[str, int]
_TABLES = ("tcp", "tcp6")


class Owner:
    """Who has to answer: a server of this machine, by the mark in the environment of its processes.

    Args:
        mark: Of the start of the server.
    """

    def __init__(self, mark: Mark) -> None:
        self._mark = mark
        self._family: list[psutil.Process] = []
        self._proven: weakref.WeakSet[object] = weakref.WeakSet()

    def stranger(self, response: aiohttp.ClientResponse) -> str | None:
        """Return why a reply is not the server's, None when it is; asks the kernel once for each connection."""
        transport = response.connection.transport if response.connection else None
        if transport is None:
            return "the connection was gone before it was known who answers"
        if transport in self._proven:
            return None
        inode = socket_inode(transport.get_extra_info("peername"), transport.get_extra_info("sockname"))
        if inode is None or not self._holds(inode):
            return "another process than the server answers on its port"
        self._proven.add(transport)
        return None

    def _holds(self, inode: int) -> bool:
        socket = f"socket:[{inode}]"
        if any(keeps_open(process.pid, socket) for process in self._family):
            return True
        # A server forks while it lives.
        self._family = processes_of(self._mark)
        return any(keeps_open(process.pid, socket) for process in self._family)


def socket_inode(local: Address, remote: Address) -> int | None:
    """Return the inode of the TCP socket of this machine with these addresses, None when there is none.

    Args:
        local: The socket's own address: for the other end of a connection, what that connection calls its peer.
        remote: The other end's.
    """
    wanted = (_plain(local[0]), local[1]), (_plain(remote[0]), remote[1])
    rows = (row for name in _TABLES for row in _rows(name))
    return next((int(row[9]) or None for row in rows if (_address(row[1]), _address(row[2])) == wanted), None)


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
