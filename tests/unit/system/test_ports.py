"""Ports that are held for a server that does not live yet."""

import socket

import pytest
from snakeval.system.ports import LOOPBACK, HeldPort, hold_free_port, hold_port


def _listens(port: int, *options: int, host: str = LOOPBACK) -> bool:
    with socket.socket() as one:
        for option in options:
            one.setsockopt(socket.SOL_SOCKET, option, 1)
        try:
            one.bind((host, port))
            one.listen()
        except OSError:
            return False
        return True


def test_nobody_shares_a_held_port_and_nobody_answers_there() -> None:
    held = hold_free_port(LOOPBACK)
    for host in (LOOPBACK, "0.0.0.0"):
        for options in ((), (socket.SO_REUSEADDR,), (socket.SO_REUSEPORT,), (socket.SO_REUSEADDR, socket.SO_REUSEPORT)):
            assert not _listens(held.port, *options, host=host)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((LOOPBACK, held.port), timeout=5)
    with pytest.raises(OSError, match="in use"):
        HeldPort(LOOPBACK, held.port)
    assert hold_port(LOOPBACK, held.port) is None
    held.release()
    held.release()
    assert _listens(held.port)


def test_connections_that_a_dead_server_has_left_are_no_hindrance() -> None:
    with socket.create_server((LOOPBACK, 0)) as server:
        port = server.getsockname()[1]
        client, ended = (socket.create_connection((LOOPBACK, port)) for _ in range(2))
        accepted, other = (server.accept()[0] for _ in range(2))
        other.close()
        ended.close()
    held = hold_port(LOOPBACK, port)
    assert held is not None
    assert not _listens(port, socket.SO_REUSEADDR)
    held.release()
    client.close()
    accepted.close()
