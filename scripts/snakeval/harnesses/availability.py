"""Which tasks of a run have a harness that Snakeval can run; asked before anything is started."""

from snakeval.config.model import Config, Task
from snakeval.errors import Problem
from snakeval.harnesses import MODULES

NEMO_EVALUATOR = "nemo-evaluator"


def harness_problems(config: Config) -> list[Problem]:
    """Return a finding for every task whose harness cannot be run; `snakemake -n` plans them all the same."""
    return [_problem(task, config.execution.type) for task in config.tasks if not is_runnable(task)]


def _problem(task: Task, backend: str) -> Problem:
    reason = f"harness {task.harness} has no module"
    if task.module in MODULES:
        reason = f"harness {task.harness} has no environment, and harnesses in images do not run"
    return Problem(
        where=f"evaluation.tasks.{task.name}",
        what=f"cannot be run yet: {reason} on backend {backend}",
        got=f"{task.harness}.{task.task} ({task.protocol.value}), which module {task.module} would run",
        expected="a task that `snakeval tasks` marks",
        hint="remove the task; `snakeval tasks` marks those that run here, docs/registry.md says why",
    )


def is_runnable(task: Task) -> bool:
    """Return whether there is a module for the task's harness, and an environment where the module needs one."""
    module = task.module or task.harness
    return module in MODULES and (module != NEMO_EVALUATOR or bool(task.environment))
