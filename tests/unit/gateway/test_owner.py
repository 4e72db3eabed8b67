"""Who is at the other end of a connection, as the kernel tells it."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from snakeval.gateway.owner import Owner, socket_inode
from snakeval.system.processes import Mark, keeps_open

OURS = Mark("0123456789abcdef", Path("/results/demo/tiny/server"))
NEIGHBOURS = Mark(OURS.server_id, Path("/results/other/tiny/server"))
LISTENER = """
import socket, sys
server = socket.create_server(("127.0.0.1", 0))
print(server.getsockname()[1], flush=True)
peer, _ = server.accept()
peer.sendall(b"hello")
sys.stdin.read()
"""


class Reply:
    """As much of a reply as `Owner` looks at."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = self
        self.transport = self
        self._socket = connection

    def get_extra_info(self, name: str) -> object:
        return self._socket.getpeername() if name == "peername" else self._socket.getsockname()


@contextmanager
def _connected(mark: Mark) -> Iterator[tuple[Reply, int]]:
    environment = {**os.environ, **mark.variables}
    with subprocess.Popen(
        [sys.executable, "-c", LISTENER], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        with socket.create_connection(("127.0.0.1", int(process.stdout.readline()))) as connection:
            assert connection.recv(5) == b"hello"
            yield Reply(connection), process.pid
        process.communicate()


def test_the_server_itself_is_no_stranger() -> None:
    with _connected(OURS) as (reply, _):
        owner = Owner(OURS)
        assert owner.stranger(reply) is None  # type: ignore[arg-type]
        assert owner.stranger(reply) is None  # type: ignore[arg-type]


def test_whoever_else_answers_is_one() -> None:
    with _connected(NEIGHBOURS) as (reply, _):
        told = Owner(OURS).stranger(reply)  # type: ignore[arg-type]
        assert told == "another process than the server answers on its port"


def test_a_socket_and_who_holds_it() -> None:
    with _connected(OURS) as (reply, pid):
        peer, own = reply.get_extra_info("peername"), reply.get_extra_info("sockname")
        there, here = socket_inode(peer, own), socket_inode(own, peer)  # type: ignore[arg-type]
        assert there is not None
        assert here is not None
        assert [keeps_open(pid, f"socket:[{inode}]") for inode in (there, here)] == [True, False]
        assert [keeps_open(os.getpid(), f"socket:[{inode}]") for inode in (there, here)] == [False, True]
    assert socket_inode(("127.0.0.1", 1), ("127.0.0.1", 2)) is None


@pytest.mark.skipif(not socket.has_ipv6, reason="this machine has no IPv6")
def test_ipv6() -> None:
    with (
        socket.create_server(("::1", 0), family=socket.AF_INET6) as server,
        socket.create_connection(server.getsockname()[:2]) as connection,
        server.accept()[0] as accepted,
    ):
        inode = socket_inode(connection.getpeername()[:2], connection.getsockname()[:2])
        assert inode is not None
        assert os.fstat(accepted.fileno()).st_ino == inode
