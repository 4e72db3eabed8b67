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


class HeldPort:
    """A port that nobody can take and where nobody answers, until it is released.

    A socket that is only bound could be joined by others who say SO_REUSEADDR, and one that listens would take
    connections. One that has listened, listens no more, and shares its port with nobody, does neither.
    Source: Linux, `inet_csk_bind_conflict` and `inet_shutdown`.

    Args:
        host: Address of this machine.
        port: Of that address.

    Raises:
        OSError: Somebody has it.
    """

    def __init__(self, host: str, port: int) -> None:
        self.port = port
        self._socket = socket.socket()
        try:
            # Connections that a dead server has left are no hindrance.
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._socket.bind((host, port))
            self._socket.listen(0)
            self._socket.shutdown(socket.SHUT_RDWR)
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
        except OSError:
            self._socket.close()
            raise

    def release(self) -> None:
        """Let others have it; safe to call twice."""
        self._socket.close()


def hold_port(host: str, port: int) -> HeldPort | None:
    """Return a port, held, or None when somebody has it."""
    try:
        return HeldPort(host, port)
    except OSError:
        return None


def hold_free_port(host: str) -> HeldPort:
    """Return a port that nobody had, held."""
    while (held := hold_port(host, free_port(host))) is None:
        pass
    return held


def connectable(host: str) -> str:
    """Return the address under which this machine reaches a server that is bound to `host`."""
    return LOOPBACK if host in ("", "0.0.0.0") else host
