"""What nodes of one server need of each other: a free port, and the address that leads to the first node.

Run by `launch.sh` with the Python of Snakeval, on the machines where the server runs.
"""

import socket
import sys

ANY_PORT = 9  # discard; nothing is sent


def free_port() -> int:
    """Return a TCP port that nobody listens on right now."""
    with socket.socket() as probe:
        probe.bind(("", 0))
        return int(probe.getsockname()[1])


def address_towards(host: str) -> str:
    """Return the address of this machine from which `host` is reached; sends nothing."""
    with socket.socket(type=socket.SOCK_DGRAM) as probe:
        probe.connect((host, ANY_PORT))
        return str(probe.getsockname()[0])


def main(arguments: list[str]) -> None:
    """Print a free port for `port`, the address for `address HOST`."""
    match arguments:
        case ["port"]:
            print(free_port())
        case ["address", host]:
            print(address_towards(host))
        case _:
            sys.exit("error: expected port, or address HOST")


if __name__ == "__main__":
    main(sys.argv[1:])
