"""Who is at the other end of a connection, as the kernel tells it, or the supervisor on another machine."""

import asyncio
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from snakeval.gateway import owner as owner_module
from snakeval.gateway.owner import STRANGER, Address, Owner, ServerProof, held_sockets, read_sockets
from snakeval.run.paths import RunPaths, ServerPaths
from snakeval.run.server import ServerRecord, ServerState
from snakeval.system.processes import SERVER_ID_VARIABLE, Mark

OURS = Mark("0123456789abcdef", Path("/results/demo/tiny/server"))
NEIGHBOURS = Mark(OURS.server_id, Path("/results/other/tiny/server"))
LISTENER = """
import socket, sys
server = socket.create_server(("127.0.0.1", 0))
print(server.getsockname()[1], flush=True)
if sys.stdin.readline() == "accept\\n":
    peer, _ = server.accept()
    peer.sendall(b"hello")
sys.stdin.read()
"""
# Starts the program that comes, with another environment: as processes look that have written over theirs.
PARENT = "import os, subprocess, sys; sys.exit(subprocess.run([sys.executable, '-c', sys.argv[1]], env={}).returncode)"


@contextmanager
def _connected(
    environ: dict[str, str], accepted: bool = True, below: bool = False
) -> Iterator[tuple[Address, Address]]:
    """Yield what a connection to another process calls its peer, and its own end."""
    command = [sys.executable, "-c", PARENT, LISTENER] if below else [sys.executable, "-c", LISTENER]
    with subprocess.Popen(
        command, env={**os.environ, **environ}, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        port = int(process.stdout.readline())
        with socket.create_connection(("127.0.0.1", port)) as connection:
            process.stdin.write("accept\n" if accepted else "wait\n")
            process.stdin.flush()
            if accepted:
                assert connection.recv(5) == b"hello"
            yield connection.getpeername(), connection.getsockname()
        process.communicate()


@pytest.mark.parametrize("accepted", [True, False])
@pytest.mark.parametrize("below", [True, False])
def test_the_server_itself_is_no_stranger(accepted: bool, below: bool) -> None:
    """Also one that is too busy to accept, and one whose environment cannot be read any more."""
    with _connected(OURS.variables, accepted, below) as (peer, own):
        owner = Owner(OURS)
        assert owner.stranger(peer, own) is None
        assert owner.stranger(peer, own) is None


@pytest.mark.parametrize("accepted", [True, False])
@pytest.mark.parametrize("environ", [NEIGHBOURS.variables, {SERVER_ID_VARIABLE: OURS.server_id}, {}])
def test_whoever_else_answers_is_one(accepted: bool, environ: dict[str, str]) -> None:
    with _connected(environ, accepted) as (peer, own):
        assert Owner(OURS).stranger(peer, own) == STRANGER


def test_a_connection_that_is_gone_proves_nothing() -> None:
    with _connected(OURS.variables) as (peer, own):
        pass
    assert Owner(OURS).stranger(peer, own) in ("the connection was gone before it was known who answers", STRANGER)


def test_a_socket_and_who_holds_it() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        with _connected(OURS.variables) as (peer, own):
            connected = read_sockets().connected
            there, here = connected[peer, own], connected[own, peer]
            assert {there, here} & held_sockets([psutil.Process()]) == {here}
        address = server.getsockname()
        assert read_sockets().listening_on(address) == [os.fstat(server.fileno()).st_ino]
        with socket.create_connection(address) as waiting:
            assert read_sockets().connected[waiting.getpeername(), waiting.getsockname()] == 0
    assert read_sockets().listening_on(("127.0.0.1", 1)) == []


@pytest.mark.skipif(not socket.has_ipv6, reason="this machine has no IPv6")
def test_ipv6() -> None:
    with (
        socket.create_server(("::1", 0), family=socket.AF_INET6) as server,
        socket.create_connection(server.getsockname()[:2]) as connection,
        server.accept()[0] as accepted,
    ):
        ends = connection.getpeername()[:2], connection.getsockname()[:2]
        assert read_sockets().connected[ends] == os.fstat(accepted.fileno()).st_ino


class Transport(asyncio.BaseTransport):
    """As much of a connection as a proof looks at."""

    def __init__(self, peer: Address, own: Address) -> None:
        super().__init__({"peername": peer, "sockname": own})


REMOTE = Transport(("10.0.0.2", 8000), ("10.0.0.1", 40_000))
READY = ServerRecord(ServerState.READY, OURS.server_id, generation=1, host="10.0.0.2", port=8000, alive_at=1.0)


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ServerPaths:
    monkeypatch.setattr(owner_module, "POLL_S", 0.001)
    monkeypatch.setattr(owner_module, "SILENCE_S", 0.2)
    files = RunPaths(tmp_path / "demo").server("tiny")
    READY.write(files.state)
    return files


def _told(files: ServerPaths, later: ServerRecord, transport: Transport = REMOTE) -> str | None:
    """Return what is said of a connection when the supervisor writes something a moment later."""

    async def ask() -> str | None:
        asked = asyncio.ensure_future(ServerProof(files).stranger(transport))
        await asyncio.sleep(0.02)
        later.write(files.state)
        return await asked

    return asyncio.run(ask())


def test_a_server_of_another_machine_is_known_by_its_next_sign_of_life(files: ServerPaths) -> None:
    assert _told(files, replace(READY, alive_at=time.time() + 60)) is None
    draining = replace(READY, state=ServerState.DRAINING, alive_at=time.time() + 120)
    assert _told(files, draining) is None


def test_a_sign_of_life_from_before_the_connection_proves_nothing(files: ServerPaths) -> None:
    for alive_at in (None, time.time() - 1, time.time() + 1):
        assert _told(files, replace(READY, alive_at=alive_at)) == "the server has given no sign of life for 0 s"


@pytest.mark.parametrize(
    "changes",
    [{"generation": 2}, {"incarnation": 1}, {"server_id": "fedcba9876543210"}, {"state": ServerState.STARTING}],
)
def test_another_process_of_the_server_proves_nothing(files: ServerPaths, changes: dict[str, object]) -> None:
    later = replace(READY, alive_at=time.time() + 60, **changes)  # type: ignore[arg-type]
    assert _told(files, later) == "the server was started again when the connection was made"


@pytest.mark.parametrize("changes", [{"port": 8001}, {"host": "10.0.0.3"}, {"host": None}])
def test_who_answers_elsewhere_is_a_stranger(files: ServerPaths, changes: dict[str, object]) -> None:
    """The port of an earlier process, on which a neighbour answers by now."""
    moved = replace(READY, alive_at=time.time() + 60, **changes)  # type: ignore[arg-type]
    moved.write(files.state)
    assert _told(files, moved) == STRANGER


@pytest.mark.parametrize("state", [ServerState.STARTING, ServerState.PENDING, ServerState.FAILED])
def test_no_connection_leads_to_a_server_that_does_not_answer(files: ServerPaths, state: ServerState) -> None:
    resting = replace(READY, state=state)
    resting.write(files.state)
    assert _told(files, resting) == "no server of the run answers right now"


def test_here_the_kernel_decides(files: ServerPaths) -> None:
    mark = Mark.of(files.folder, READY.server_id)
    for environ, said in ((mark.variables, None), (OURS.variables, STRANGER)):
        with _connected(environ) as (peer, own):
            assert asyncio.run(ServerProof(files).stranger(Transport(peer, own))) == said
