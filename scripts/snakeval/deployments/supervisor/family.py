"""The processes of one server: how to recognise them, what ties them to their supervisor, and how they end."""

import os
from collections.abc import Mapping

import psutil

from snakeval.system.podman import container_name, image_of, remove_container
from snakeval.system.processes import Mark, end_processes, family_of, processes_of

CONTAINER_VARIABLE = "SNAKEVAL_CONTAINER"


class Family:
    """What the calling supervisor has started for one server, in a container or not."""

    def __init__(self, mark: Mark, container_runtime: str | None) -> None:
        self._mark = mark
        self._runtime = container_runtime
        # The reading end goes into the container, whose guard waits for its end; only this process holds the writing
        # end, which the kernel closes when it dies, however it dies.
        self._lifeline = os.pipe() if container_runtime else None

    def environment(self) -> Mapping[str, str]:
        """Return what the server's command has to know of this."""
        environment = self._mark.variables
        if self._lifeline:
            environment |= {"SNAKEVAL_LIFELINE": str(self._lifeline[0]), CONTAINER_VARIABLE: container_name(self._mark)}
        return environment

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
