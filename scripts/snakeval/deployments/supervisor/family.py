"""The processes of one server: how to recognise them, what ties them to their supervisor, and how they end."""

import ctypes
import os
import select
import signal
import subprocess
from collections.abc import Mapping, Sequence

import psutil

from snakeval.system.podman import container_name, image_of, remove_container
from snakeval.system.processes import Mark, end_processes, family_of, listens_on, processes_of

CONTAINER_VARIABLE = "SNAKEVAL_CONTAINER"
PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36


class Family:
    """What the calling supervisor has started for one server, in a container or not."""

    def __init__(self, mark: Mark, container_runtime: str | None) -> None:
        self._mark = mark
        self._runtime = container_runtime
        self._listener: psutil.Process | None = None
        # The reading end goes into the container, whose guard waits for its end; only this process holds the writing
        # end, which the kernel closes when it dies, however it dies.
        self._lifeline = os.pipe() if container_runtime else None

    def environment(self) -> Mapping[str, str]:
        """Return what the server's command has to know of this."""
        environment = self._mark.variables
        if self._lifeline:
            environment |= {"SNAKEVAL_LIFELINE": str(self._lifeline[0]), CONTAINER_VARIABLE: container_name(self._mark)}
        return environment

    def start(self, command: Sequence[str], environment: Mapping[str, str]) -> "subprocess.Popen[bytes]":
        """Start the server in a session of its own; the kernel kills it when the calling process dies."""
        return subprocess.Popen(
            command,
            env={**environment, **self.environment()},
            start_new_session=True,
            preexec_fn=_die_with_parent,
            pass_fds=self.inherited(),
        )

    def inherited(self) -> tuple[int, ...]:
        """Return the file descriptors that the server's command inherits."""
        return self._lifeline[:1] if self._lifeline else ()

    def processes(self) -> list[psutil.Process]:
        """Return the living processes: our descendants, and what a container runtime started for us.

        The monitor of a podman container is a descendant, because the supervisor is its subreaper. A step of Slurm
        descends from nobody here. It has the server's mark in its environment; no other process has it.
        """
        own = family_of(os.getpid())[1:]
        carriers = processes_of(self._mark) if self._runtime else []
        return [*own, *(one for one in carriers if one not in own and one.pid != os.getpid())]

    def listens_on(self, port: int) -> bool:
        """Return whether one of them has a listening socket on the port; looks at the same one first."""
        if self._listener is None or not listens_on([self._listener], port):
            self._listener = next((one for one in self.processes() if listens_on([one], port)), None)
        return self._listener is not None

    def end(self, patience_s: float) -> list[str]:
        """End all of them, the container included; return what went wrong, for people."""
        complaints = {self._remove_container()}
        end_processes(self.processes(), patience_s)
        # One that its client was just about to start.
        complaints.add(self._remove_container())
        return sorted(f"podman cannot remove the container: {one}" for one in complaints if one)

    def image(self) -> str | None:
        """Return the id of the image that runs, where the runtime tells it."""
        return image_of(self._mark) if self._runtime == "podman" else None

    def _remove_container(self) -> str | None:
        return remove_container(self._mark) if self._runtime == "podman" else None


def become_subreaper() -> None:
    """Make the calling process the parent of all descendants whose own parent has died."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def ended_within(process: "subprocess.Popen[bytes]", patience_s: float) -> bool:
    """Wait for a child's end, and return at once when it comes; return whether it has."""
    descriptor = os.pidfd_open(process.pid)
    try:
        return bool(select.select([descriptor], [], [], patience_s)[0])
    finally:
        os.close(descriptor)


def describe_end(status: int) -> str:
    """Return how a server ended, by the status of its process."""
    if status < 0:
        return f"the server was killed by {signal.Signals(-status).name}"
    return f"the server ended with status {status}"


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
