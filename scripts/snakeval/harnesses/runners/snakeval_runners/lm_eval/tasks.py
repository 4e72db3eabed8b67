"""Finds and loads the task, and explains in plain words why it cannot be."""

import difflib
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from lm_eval.api.group import Group
from lm_eval.api.task import Task
from lm_eval.tasks import TaskManager
from lm_eval.tasks._yaml_loader import load_yaml

from ..shared.failures import RunnerError
from .request import LmEvalRequest

DATA_MODULES = frozenset({"datasets", "huggingface_hub", "requests", "httpx", "httpcore", "urllib3"})
LOGLIKELIHOODS = frozenset({"loglikelihood", "multiple_choice", "loglikelihood_rolling"})


@dataclass(frozen=True)
class LoadedTask:
    """A task with its data.

    Attributes:
        specs: What lm-eval's simple_evaluate takes: one task, one group, or the tasks of a tag.
        leaves: Every single task in it, by name.
        groups: Every group in it, by name.
        manager: What found them; without it every evaluation would index all of lm-eval's tasks again (7 s).
    """

    specs: list[Task | Group]
    leaves: dict[str, Task]
    groups: dict[str, Group]
    manager: TaskManager

    def documents(self) -> int:
        """Number of samples; known once their requests have been built."""
        return sum(len({instance.doc_id for instance in task.instances}) for task in self.leaves.values())


def load_task(request: LmEvalRequest) -> LoadedTask:
    """Load the task of a request with its data.

    Raises:
        RunnerError: It is unknown, lacks its data or a Python package, or does not fit the protocol.
    """
    manager = TaskManager(include_path=list(request.include_paths), include_defaults=request.include_defaults)
    if request.task not in manager.task_index:
        raise RunnerError("harness", _unknown(request, manager.all_tasks))
    try:
        loaded = manager.load([request.task])
    except Exception as error:
        raise RunnerError("harness", _explain_load_error(request.task, error)) from error
    groups = dict(loaded.get("groups", {}))
    leaves = dict(loaded["tasks"])
    specs = [groups[request.task]] if request.task in groups else list(leaves.values())
    _check_protocol(leaves, request.protocol)
    for task in leaves.values():
        _check_num_fewshot(task, request.num_fewshot)
    return LoadedTask(specs, leaves, groups, manager)


def _unknown(request: LmEvalRequest, known: list[str]) -> str:
    places = [f"in {path}" for path in request.include_paths]
    places += ["among the tasks that lm-eval ships"] if request.include_defaults else []
    broken = [error for path in request.include_paths for error in _broken_definitions(Path(path))]
    close = difflib.get_close_matches(request.task, known, n=3)
    hint = f"; did you mean {' or '.join(close)}?" if close else ""
    hint += f"; not readable: {broken[0]}" if broken else ""
    return f"there is no task '{request.task}' {' or '.join(places)}{hint}"


def _broken_definitions(folder: Path) -> list[str]:
    """lm-eval skips definitions that it cannot read without a word; name them."""
    found = []
    for path in sorted(folder.glob("**/*.yaml")):
        try:
            load_yaml(path, resolve_func=False)
        except Exception as error:
            found.append(f"{path}: {' '.join(str(error).split())}")
    return found


def _explain_load_error(task: str, error: Exception) -> str:
    if isinstance(error, ImportError):
        return missing_package(task, error)
    text = " ".join(str(error).split())[:500]
    module = type(error).__module__.split(".")[0]
    if module in DATA_MODULES or isinstance(error, OSError):
        return (
            f"the dataset of task {task} cannot be loaded: {text}; without access to it, set evaluation.data_dir to a"
            " folder that holds a copy under the dataset's own name"
        )
    return f"lm-eval cannot load task {task}: {type(error).__name__}: {text}"


def missing_package(task: str, error: ImportError) -> str:
    """Say which Python package a task lacks."""
    if isinstance(error, ModuleNotFoundError) and error.name:
        return (
            f"task {task} needs the Python package '{error.name.split('.')[0]}', which the lm-eval environment does"
            " not have; add it to that environment"
        )
    return f"task {task} cannot be loaded in the lm-eval environment: {' '.join(str(error).split())[:500]}"


def _check_protocol(leaves: dict[str, Task], protocol: str) -> None:
    """Refuse what the protocol cannot give; /completions gives texts and log-likelihoods, so groups may mix them."""
    kinds = {name: task.OUTPUT_TYPE or task.get_config("output_type") for name, task in leaves.items()}
    for name, kind in kinds.items():
        if protocol != "loglikelihood" and kind in LOGLIKELIHOODS:
            raise RunnerError(
                "harness",
                f"task {name} compares log-likelihoods (output_type {kind}), which protocol {protocol} cannot give;"
                " use protocol loglikelihood, or a generative variant of the task",
            )
    if protocol == "loglikelihood" and set(kinds.values()) == {"generate_until"}:
        raise RunnerError("harness", f"task {next(iter(kinds))} generates text; use protocol chat or completions")


def _check_num_fewshot(task: Task, num_fewshot: int | None) -> None:
    """lm-eval ignores num_fewshot without a word where the task's definition says 0."""
    if num_fewshot and task.get_config("num_fewshot") == 0:
        raise RunnerError(
            "harness", f"task {task.task_name} fixes num_fewshot at 0, lm-eval would ignore num_fewshot: {num_fewshot}"
        )


def has_package(name: str) -> bool:
    """Whether a Python package is installed, without importing it."""
    return find_spec(name) is not None
