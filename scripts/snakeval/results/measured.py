"""What a run has measured: every task on every deployment, with its result where there is one."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from snakeval.config.fingerprint import fingerprint
from snakeval.config.model import Config, Deployment, Task
from snakeval.results.result import Result
from snakeval.results.samples import Sample, read_samples
from snakeval.run.paths import RunPaths, TaskPaths


@dataclass(frozen=True)
class Measured:
    """A task on a deployment, with its result when it has one.

    Attributes:
        run: Name of the run.
        deployment: What was evaluated.
        task: With what.
        files: The task's files.
        result: Valid; None when it is missing.
    """

    run: str
    deployment: Deployment
    task: Task
    files: TaskPaths
    result: Result | None

    @property
    def fingerprint(self) -> str:
        """One hash over all that identifies the result: what it is called in the run, and what can change a score."""
        own = self.result.fingerprint if self.result else None
        parts = {"run": self.run, "deployment": self.deployment.name, "task": self.task.name}
        parts_of_score = {"of_deployment": own and own.deployment, "of_task": own and own.task}
        return fingerprint({**parts, **parts_of_score})

    def samples(self) -> Iterator[Sample]:
        """Yield the samples, nothing when they are not recorded."""
        return read_samples(self.files.samples)


@dataclass(frozen=True)
class Scored(Measured):
    """A task on a deployment that has a result."""

    result: Result


@dataclass(frozen=True)
class Missing:
    """Names of what has no result."""

    deployment: str
    task: str


def collect(config: Config, read: Callable[[Path], Result | None] = Result.read) -> list[Measured]:
    """Return every task on every deployment, in the order of the configuration.

    Args:
        config: The run.
        read: Reads a result; a damaged one counts as missing where nothing else is said.
    """
    paths = RunPaths(config.folder)
    found = []
    for deployment in config.deployments:
        for task in config.tasks:
            files = paths.task(deployment.name, task.name)
            result = read(files.result)
            names = (config.run, deployment, task, files)
            found.append(Measured(*names, None) if result is None else Scored(*names, result))
    return found


def scored(measured: Sequence[Measured]) -> list[Scored]:
    """Return what has a result."""
    return [one for one in measured if isinstance(one, Scored)]


def missing(measured: Sequence[Measured]) -> list[Missing]:
    """Return the names of what has no result."""
    return [Missing(one.deployment.name, one.task.name) for one in measured if one.result is None]
