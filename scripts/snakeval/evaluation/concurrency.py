"""How many requests the tasks of a deployment may send together at the same time (`deployment.max_concurrency`).

Every task counts with its `parallelism`, also at the auxiliary deployments that it uses. The sum over the running tasks
is a resource of Snakemake; each deployment with a limit has one. Neither number changes a score.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from snakeval.config.model import Deployment, Task
from snakeval.config.reading.tree import Node

REQUESTS = "requests_"


def requests_of(deployment: Deployment, task: Task) -> int:
    """Return how many requests a task has under way at most: its own parallelism, within the deployment's limit."""
    limit = deployment.max_concurrency
    # A harness that is told nothing may send any number.
    wanted = task.traffic.parallelism or limit or 1
    return wanted if limit is None else min(wanted, limit)


def within_limit(deployment: Deployment, task: Task) -> Task:
    """Return the task with a parallelism that the deployment allows."""
    if deployment.max_concurrency is None:
        return task
    return replace(task, settings=Node({**task.settings, "parallelism": requests_of(deployment, task)}))


class RequestResources:
    """The resources of Snakemake by which the tasks of a run share what their deployments can take."""

    def __init__(self, deployments: Sequence[Deployment], tasks: Mapping[str, Task]) -> None:
        """Name a resource for each deployment with a limit, by its position: names may hold what resources may not."""
        self._tasks = tasks
        self._limited = {
            f"{REQUESTS}{position}": deployment
            for position, deployment in enumerate(deployments, start=1)
            if deployment.max_concurrency is not None
        }

    def limits(self) -> dict[str, int]:
        """Return resource -> how much of it there is."""
        return {
            name: deployment.max_concurrency
            for name, deployment in self._limited.items()
            if deployment.max_concurrency is not None
        }

    def needs(self) -> dict[str, "partial[int]"]:
        """Return resource -> function of a job's wildcards that tells how much of it the job takes."""
        return {name: partial(self._needed, name) for name in self._limited}

    def _needed(self, name: str, wildcards: Any) -> int:
        deployment = self._limited[name]
        task = self._tasks[wildcards.task]
        asked = deployment.name in (wildcards.deployment, *task.auxiliaries)
        return requests_of(deployment, task) if asked else 0
