"""TCP ports of this machine."""

import socket

LOOPBACK = "127.0.0.1"
# Where a program is to find the address of its machine itself.
AUTO = "auto"


def free_port(host: str) -> int:
    """Return a port of that address on which nobody listens right now."""
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


def is_free(host: str, port: int) -> bool:
    """Return whether a server could listen on that port of that address right now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
        return True


def connectable(host: str) -> str:
    """Return the address under which this machine reaches a server that is bound to `host`."""
    return LOOPBACK if host in ("", "0.0.0.0") else host
