"""Which tasks of a run have a harness that Snakeval can run; asked before anything is started."""

from collections.abc import Iterator
from pathlib import Path

from snakeval.config.container_syntax import NONE, PYXIS
from snakeval.config.execution_types import execution_type, types_with_containers
from snakeval.config.model import Config, Task
from snakeval.errors import ExtensionError, Problem
from snakeval.harnesses import HARNESSES, harness_of
from snakeval.system.checkout import ENVS


def harness_problems(config: Config, as_jobs: bool = True) -> list[Problem]:
    """Return what keeps harnesses from being run; `snakemake -n` plans their tasks all the same.

    Args:
        config: The run.
        as_jobs: Whether every task is a job of a cluster, as the profile says.
    """
    return [*_modules(config), *_containers(config, as_jobs)]


def is_runnable(task: Task) -> bool:
    """Return whether there is a module for the task's harness; one in an image needs a container runtime besides."""
    return (task.module or task.harness) in HARNESSES


def _modules(config: Config) -> Iterator[Problem]:
    for task in config.tasks:
        if not is_runnable(task):
            yield Problem(
                where=f"evaluation.tasks.{task.name}",
                what=f"cannot be run yet: harness {task.harness} has no module",
                got=f"{task.harness}.{task.task} ({task.protocol.value}), which module {task.module} would run",
                expected="a task that `snakeval tasks` marks",
                hint="remove the task; `snakeval tasks` marks those that run here, docs/registry.md says why",
            )
    for name in dict.fromkeys(task.module or task.harness for task in config.tasks if is_runnable(task)):
        try:
            harness_of(name)
        except ExtensionError as error:
            yield error.problem


def _containers(config: Config, as_jobs: bool) -> Iterator[Problem]:
    """Tasks in images need something that runs those: one finding for all of them."""
    runtimes = execution_type(config.execution.type).container_runtimes
    names = ", ".join(task.name for task in config.tasks if task.container)
    runtime = config.execution.container_runtime
    in_a_job = as_jobs or config.execution.evaluates_in_allocation
    if not names or (runtime is not None and (runtime != PYXIS or in_a_job)):
        return
    if runtime == PYXIS:
        yield Problem(
            where="execution.container_runtime",
            what="runs containers in Slurm jobs alone, and tasks are none",
            got=f"{PYXIS}, with the tasks {names}, on this machine",
            expected="tasks as jobs, or beside their server",
            hint="call snakemake with --profile profiles/slurm, or set execution.evaluate_in: allocation",
        )
    elif not runtimes:
        yield Problem(
            where="execution.type",
            what="has nothing that runs the images of harnesses",
            got=f"{config.execution.type}, with tasks that run in images: {names}",
            expected=f"one of {', '.join(types_with_containers())}, or tasks without images",
            hint="leave out `container` where a harness has an environment; `snakeval tasks` tells which ones have",
        )
    else:
        yield Problem(
            where="execution.container_runtime",
            what="is needed for tasks that run in images of their harnesses",
            got=f"{NONE}, with the tasks {names}",
            expected=f"one of {', '.join(runtimes)}",
            hint="set what this site has (docs/containers.md), or remove these tasks",
        )


def harness_lock(task: Task) -> Path | None:
    """Return the lock of the environment that the task's harness runs in, None for a program of the user's."""
    lock = ENVS / f"{task.environment or task.harness}.lock"
    return lock if lock.exists() else None
