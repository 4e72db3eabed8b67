"""The containers of tasks whose harness runs in an image: what one sees, and what has to be there before it starts."""

import shutil
from collections.abc import Iterator
from pathlib import Path

from snakeval.config.container_syntax import Mount, spelled_for, unmountable
from snakeval.config.execution_types import execution_type
from snakeval.config.model import Config, Task
from snakeval.deployments.containers import PROXIES, Container, container_hint, mounts_of
from snakeval.errors import DeploymentError, Problem
from snakeval.harnesses.around_task import AROUND
from snakeval.harnesses.base import HarnessCommand
from snakeval.harnesses.nemo_evaluator import data_mount
from snakeval.harnesses.runner import RUNNERS
from snakeval.system.podman import is_there, pull_image
from snakeval.system.processes import SERVER_ID_VARIABLE
from snakeval.system.say import Say


def container_of_task(
    config: Config, task: Task, command: HarnessCommand, folder: Path, step: tuple[str, ...] | None
) -> Container:
    """Return the container of a task that runs in one; looks at links of its data.

    Args:
        config: The run, whose execution has a container runtime.
        task: The task.
        command: What runs in the container.
        folder: The task's work folder, which the container has at the same path, for writing.
        step: As `Container.step`.
    """
    execution = config.execution
    runtime = str(execution.container_runtime)
    linked = [link for data in command.mounts for link in mounts_of(Path(data.source)) if link.source != data.source]
    programs = [Mount(str(path), str(path), read_only=True) for path in (RUNNERS, AROUND)]
    work = Mount(str(folder.absolute()), str(folder.absolute()), read_only=False)
    mounts = dict.fromkeys([*command.mounts, *linked, *execution.task_mounts, *programs, work])
    names = [SERVER_ID_VARIABLE, *PROXIES, *task.env_vars, *command.env, *command.inherited]
    return Container(
        runtime=runtime,
        image=spelled_for(runtime, task.container),
        mounts=tuple(sorted(mounts, key=lambda mount: len(Path(mount.target).parts))),
        mount_home=execution.mounts_home,
        arguments=execution.container_args,
        variables=tuple(dict.fromkeys(names)),
        workdir=str(command.cwd) if command.cwd else None,
        is_server=False,
        step=step,
    )


def require_container(config: Config, task: Task, say: Say) -> None:
    """Check what the container of a task needs, and pull its image where podman runs it on this machine.

    A server must not wait for what its task lacks, so this comes before it is started. Does nothing for other tasks.

    Raises:
        DeploymentError: with every finding at once, or the image cannot be had.
    """
    runtime = config.execution.container_runtime
    if not task.container or runtime is None:
        return
    problems = [*_paths(config, task, runtime), *_installed(config, task, runtime)]
    if problems:
        raise DeploymentError("\n\n".join(str(problem) for problem in problems))
    here = execution_type(config.execution.type).on_this_machine
    if here and runtime == "podman" and not is_there(task.container):
        say(f"pulling {task.container}, which is not here yet")
        complaint = pull_image(task.container, say)
        if complaint is not None:
            raise DeploymentError(not_there(task, runtime, f"podman cannot pull it:\n{complaint}"))


def not_there(task: Task, runtime: str, said: str) -> str:
    """Return the message about a container that did not start.

    Args:
        task: The task.
        runtime: What should have run it.
        said: The reason, and the runtime's own words.
    """
    hint = container_hint(task.container, said)
    usual = f"see whether {runtime} runs this image there by hand; container of the task names another one"
    return f"the container of task {task.name} did not start (image {task.container}): {said}\nhint: {hint or usual}"


def _paths(config: Config, task: Task, runtime: str) -> Iterator[Problem]:
    here = f"task {task.name}"
    data = data_mount(task, config)
    named = [("execution.mounts.evaluation", mount.source) for mount in config.execution.task_mounts]
    key = "dataset_dir" if task.dataset_dir else "evaluation.data_dir"
    named += [(key, data.source)] if data else []
    named += [("container", task.container)] if task.container.startswith("/") else []
    for where, source in named:
        if not Path(source).exists():
            hint = "check the path, or take it out; docs/containers.md says what tasks in images see"
            yield Problem(f"{here}: {where}", "names what does not exist", source, "a path of this machine", hint)
    folders = [(key, data.source), (key, data.target)] if data else []
    folders += [("execution.output_dir", str(config.execution.output_dir.absolute())), ("checkout", str(RUNNERS))]
    for where, path in folders:
        if found := unmountable(runtime, path):
            expected = f"a path without {' '.join(repr(one) for one in found)}"
            hint = "rename it, or choose another execution.container_runtime"
            yield Problem(f"{here}: {where}", f"cannot be mounted by {runtime}", path, expected, hint)


def _installed(config: Config, task: Task, runtime: str) -> Iterator[Problem]:
    """Elsewhere the machine that runs the task has it, which need not be this one."""
    if execution_type(config.execution.type).on_this_machine and shutil.which(runtime) is None:
        hint = f"install {runtime}, or choose another execution.container_runtime"
        where = f"task {task.name}: execution.container_runtime"
        yield Problem(where, "is not installed", runtime, "on PATH", hint)
