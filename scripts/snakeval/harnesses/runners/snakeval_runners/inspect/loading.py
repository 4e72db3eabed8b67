"""Finds and loads the task, and explains in plain words why it cannot be."""

from pathlib import Path
from typing import Any

from inspect_ai import Task
from inspect_ai._eval.loader import load_tasks
from inspect_ai._util.error import PrerequisiteError
from inspect_ai._util.registry import registry_info, registry_lookup
from inspect_ai.dataset._sources import hf

from ..shared.failures import RunnerError
from .request import InspectRequest

DATA_MODULES = frozenset({"datasets", "huggingface_hub", "requests", "httpx", "httpcore", "urllib3"})


def load_task(request: InspectRequest) -> Task:
    """Load the task of a request with its data.

    Raises:
        RunnerError: It is unknown, lacks its data, a package, a secret, or has not the arguments that it is given.
    """
    if request.data_cache is not None:
        # Beside the one of the package datasets Inspect has a cache, where a name stands for the same data for ever.
        own = Path(request.data_cache, "inspect")
        hf.inspect_cache_dir = lambda subdir, create=True: own / (subdir or "")
    try:
        tasks = load_tasks([request.spec], request.task_args)
    except Exception as error:
        raise RunnerError("harness", _explain(request, error)) from None
    if len(tasks) != 1:
        raise RunnerError("harness", f"Inspect finds {len(tasks)} tasks under {request.spec}, and needs one")
    _check_arguments(request)
    if tasks[0].model is not None:
        raise RunnerError(
            "harness", f"task {request.task} names a model of its own ({tasks[0].model}), and asks no other"
        )
    return tasks[0]


def _check_arguments(request: InspectRequest) -> None:
    """Inspect only warns of an argument that the task does not have."""
    name = request.spec.rpartition("@")[2]
    function = registry_lookup("task", name)
    known = registry_info(function).metadata.get("params", []) if function is not None else []
    for argument in request.task_args:
        if argument not in known:
            expected = ", ".join(known) or "no argument"
            raise RunnerError("harness", f"task {request.task} has no argument '{argument}'; it has: {expected}")


def _explain(request: InspectRequest, error: Exception) -> str:
    task, text = request.task, " ".join(str(error).split())[:500]
    if isinstance(error, ModuleNotFoundError) and error.name:
        return (
            f"task {task} needs the Python package '{error.name.split('.')[0]}', which Inspect's environment does not"
            " have; add it to that environment"
        )
    if isinstance(error, PrerequisiteError):
        return f"task {task} cannot be loaded: {_plain(error)}"
    if isinstance(error, KeyError) and is_environ_lookup(error):
        return f"task {task} needs the environment variable {error.args[0]}; give it in env_vars of the task"
    if type(error).__module__.split(".")[0] in DATA_MODULES or isinstance(error, OSError):
        return (
            f"the dataset of task {task} cannot be loaded: {text}; a relative path starts at the folder of the task's"
            " file, and evaluation.data_dir may name a folder that holds a copy under the dataset's own name"
        )
    return f"Inspect cannot load task {task}: {type(error).__name__}: {text}"


def is_environ_lookup(error: BaseException) -> bool:
    """Return whether a KeyError comes from os.environ."""
    trace: Any = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return trace is not None and trace.tb_frame.f_globals.get("__name__") == "os"


def _plain(error: PrerequisiteError) -> str:
    """Its text without the markup for terminals."""
    message = getattr(error, "message", error)
    plain = getattr(message, "plain", None) or str(message)
    return " ".join(plain.replace("[bold]", "").replace("[/bold]", "").split())[:500]
