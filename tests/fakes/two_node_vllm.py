"""Stands in for `vllm serve` on two nodes: takes the multi-node options of the real one, and its ranks really meet.

Rank 0 waits until rank 1 has connected to --master-addr and --master-port, then answers as the stand-in OpenAI server
does. Each rank ends when the other one is gone. A real vLLM over two nodes needs GPUs or more memory than a test has.
"""

import argparse
import os
import socket
import sys
import threading
import time

from openai_server import FakeOpenAIServer


def main() -> None:
    """Be one rank until the other one ends."""
    parser = argparse.ArgumentParser()
    parser.add_argument("verb", choices=["serve"])
    parser.add_argument("model")
    parser.add_argument("--served-model-name", required=True)
    parser.add_argument("--host")
    parser.add_argument("--port", type=int)
    parser.add_argument("--nnodes", type=int, required=True)
    parser.add_argument("--node-rank", type=int, required=True)
    parser.add_argument("--master-addr", required=True)
    parser.add_argument("--master-port", type=int, required=True)
    parser.add_argument("--headless", action="store_true")
    given, _ = parser.parse_known_args()
    assert given.headless == (given.node_rank > 0)
    print(f"rank {given.node_rank} of {given.nnodes} on {os.environ['SLURMD_NODENAME']}", flush=True)
    if given.node_rank == 0:
        lead(given)
    else:
        follow(given)


def lead(given: argparse.Namespace) -> None:
    """Serve as soon as the other rank is there, and as long as it is."""
    with socket.create_server((given.master_addr, given.master_port)) as meeting:
        meeting.settimeout(60)
        other, _ = meeting.accept()
    threading.Thread(target=lambda: (other.recv(1), os._exit(9)), daemon=True).start()
    with FakeOpenAIServer(given.served_model_name, given.port, os.environ["VLLM_API_KEY"], ()) as server:
        print(f"serving on {server.base_url}", flush=True)
        threading.Event().wait()


def follow(given: argparse.Namespace) -> None:
    """Connect to the first rank and stay until it is gone."""
    deadline = time.monotonic() + 60
    while True:
        try:
            with socket.create_connection((given.master_addr, given.master_port), timeout=5) as head:
                head.settimeout(None)
                head.recv(1)
                sys.exit("the first rank is gone")
        except ConnectionRefusedError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)


if __name__ == "__main__":
    main()
