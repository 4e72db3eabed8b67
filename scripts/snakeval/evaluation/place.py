"""Where a task's harness runs: on this machine, as a step beside its server, or in a container on either."""

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from snakeval.backends import beside
from snakeval.backends.base import Beside
from snakeval.config.container_syntax import PYXIS
from snakeval.config.model import Config, Task
from snakeval.deployments.launch import render_task_script
from snakeval.deployments.supervisor.family import Family
from snakeval.errors import DeploymentError
from snakeval.harnesses.around_task import wrapped
from snakeval.harnesses.base import HarnessCommand
from snakeval.harnesses.containers import container_of_task, not_there
from snakeval.harnesses.outcome import describe_status
from snakeval.system.files import write_text
from snakeval.system.hashing import sha256_hex
from snakeval.system.processes import Mark

SCRIPT = "container.sh"
# What in_image.sh leaves in the work folder: what goes wrong afterwards, the harness tells.
BEGAN = "began"
GRACE_S = 5.0
LIFELINE = "SNAKEVAL_LIFELINE"


@dataclass(frozen=True)
class Place:
    """How a harness is started where it runs, and what there is to be ended beside the process that is started.

    Attributes:
        argv: The command line on this machine.
        cwd: Its working directory, None for ours.
        env: Variables beside those of the harness.
        stdin: As for `subprocess.Popen`.
        inherited: File descriptors that it inherits.
        step: The place beside a server where it is, None for here.
        family: What belongs to its container, None without one.
    """

    argv: list[str]
    cwd: Path | None
    env: Mapping[str, str] = field(default_factory=dict)
    stdin: int = subprocess.DEVNULL
    inherited: tuple[int, ...] = ()
    step: Beside | None = None
    family: Family | None = None

    def end(self) -> None:
        """End what is left when the process has ended; safe to call twice."""
        if self.step is not None:
            self.step.end()
        if self.family is not None:
            self.family.end(GRACE_S)


def place_of(
    config: Config, deployment: str, task: Task, command: HarnessCommand, folder: Path, job: str | None
) -> Place:
    """Return where a task's harness runs, between the task's own commands; writes the script of a container.

    Args:
        config: The run.
        deployment: Name of what is evaluated.
        task: The task.
        command: The harness.
        folder: Its work folder.
        job: The allocation of its server inside which it runs, None for here.

    Raises:
        DeploymentError: pyxis is to run the container, and there is no job to run it in.
    """
    argv = wrapped(task, command.argv, folder)
    step = beside(config, job) if job else None
    if not task.container:
        return Place(step.command(argv) if step else argv, command.cwd, step=step)
    runtime = str(config.execution.container_runtime)
    if runtime == PYXIS and step is None:
        step = beside(config, _enclosing_job(task))
    container = container_of_task(config, task, command, folder, step.place if step and runtime == PYXIS else None)
    labels = {"run": config.run, "deployment": deployment, "task": task.name}
    script = folder.absolute() / SCRIPT
    write_text(script, render_task_script(labels, container, argv))
    (folder / BEGAN).unlink(missing_ok=True)
    # The same for every attempt: podman replaces what is left of an earlier one.
    identity = sha256_hex(str(script), 16)
    # What is in a step is Slurm's, and maybe on another machine.
    family = Family(Mark(identity, folder.absolute()), PYXIS if step else runtime)
    env = family.environment()
    if step is None or runtime == PYXIS:
        return Place(["bash", str(script)], None, env, inherited=family.inherited(), step=step, family=family)
    # srun hands on its input alone, and its end: the lifeline of a container on another machine.
    (lifeline,) = family.inherited()
    return Place(step.command(["bash", str(script)]), None, {**env, LIFELINE: "0"}, lifeline, step=step, family=family)


def failed_start(config: Config, task: Task, folder: Path, returncode: int, log_tail: str) -> DeploymentError | None:
    """Return what to say of a container that ended before the harness in it began; None when it is the harness's turn.

    Args:
        config: The run.
        task: The task.
        folder: Its work folder.
        returncode: How the container's client ended.
        log_tail: The last lines of its output.
    """
    if not task.container or (folder / BEGAN).exists():
        return None
    runtime = str(config.execution.container_runtime)
    return DeploymentError(not_there(task, runtime, f"{runtime} {describe_status(returncode)}:\n{log_tail}"))


def _enclosing_job(task: Task) -> str:
    job = os.environ.get("SLURM_JOB_ID")
    if job is None:
        raise DeploymentError(
            f"task {task.name} runs in a container of pyxis, which has to be in a Slurm job, and this is none; run "
            "tasks as jobs (--profile profiles/slurm) or beside their server (execution.evaluate_in: allocation)"
        )
    return job
