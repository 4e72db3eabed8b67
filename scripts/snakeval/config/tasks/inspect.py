"""Finds tasks of Inspect: functions under @task in files of the task folders, and names that inspect_evals ships."""

import ast
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from snakeval.config.reading.entry import Entry
from snakeval.config.reading.wording import choices, nearest, show
from snakeval.errors import Problem
from snakeval.system.checkout import ROOT
from snakeval.system.files import read_rows

INSPECT = "inspect"
INSPECT_EVALS = "inspect_evals"
TABLE = ROOT / "config" / "harnesses" / "inspect_evals.tsv"


@dataclass(frozen=True)
class InspectTask:
    """A task of Inspect.

    Attributes:
        name: What Inspect calls it, without file or package.
        definition: The file that it is in, None for one of inspect_evals.
        arguments: What its function takes, None when that is not known before it runs, or when it takes anything.
    """

    name: str
    definition: Path | None
    arguments: tuple[str, ...] | None


def find_inspect_task(entry: Entry, folders: Sequence[Path]) -> InspectTask | Problem:
    """Return the task that an entry of harness `inspect` or `inspect_evals` names, or the finding that there is none.

    For harness `inspect`, `FILE@NAME` is the task NAME in `FILE.py`. `NAME` alone is the first of these that exists:
    the task NAME in `NAME.py`, the only task in `NAME.py`, the task NAME in any file.
    """
    if entry.data["harness"] == INSPECT_EVALS:
        return _shipped(entry)
    file_name, _, wanted = entry.data["task"].partition("@")
    stem = file_name.removesuffix(".py")
    file = next((one for one in task_files(folders) if one.stem == stem), None)
    if file is None and not wanted:
        file = next((one for one in task_files(folders) if stem in tasks_in(one)), None)
    if file is None:
        return _no_file(entry, stem, folders)
    tasks = tasks_in(file)
    name = wanted or (stem if stem in tasks else "")
    if not name and len(tasks) == 1:
        (name,) = tasks
    if name not in tasks:
        expected = choices(name, [f"{stem}@{one}" for one in tasks]) if tasks else "a function under @task"
        hint = "write task: FILE@NAME for one of several" if tasks else "give the file a function under @task"
        got = show(name) if name else f"{len(tasks)} tasks in {file}"
        return Problem(_place(entry), f"names no task of {file.name}", got, expected, hint)
    return InspectTask(name, file, tasks[name])


def task_files(folders: Sequence[Path]) -> Iterator[Path]:
    """Yield the Python files with tasks, in the folders themselves and one level below; the first of a name wins."""
    for folder in folders:
        for file in (*sorted(folder.glob("*.py")), *sorted(folder.glob("*/*.py"))):
            if file.is_file() and tasks_in(file):
                yield file


@cache
def tasks_in(file: Path) -> Mapping[str, tuple[str, ...] | None]:
    """Return name -> arguments of the tasks in a file; of a file that is no Python, none."""
    try:
        text = file.read_text(encoding="utf-8")
        tree = ast.parse(text) if "inspect_ai" in text else ast.Module([], [])
    except (OSError, SyntaxError, ValueError):
        return {}
    found: dict[str, tuple[str, ...] | None] = {}
    for node in tree.body:
        if isinstance(node, ast.FunctionDef):
            for decorator in node.decorator_list:
                if (name := _task_name(decorator, node.name)) is not None:
                    takes = (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)
                    found[name] = None if node.args.kwarg else tuple(one.arg for one in takes)
    return found


def _task_name(decorator: ast.expr, function: str) -> str | None:
    """Return the name under which `@task`, or `@task(name=...)`, registers a function; None for other decorators."""
    called = decorator.func if isinstance(decorator, ast.Call) else decorator
    last = called.attr if isinstance(called, ast.Attribute) else called.id if isinstance(called, ast.Name) else None
    if last != "task":
        return None
    for keyword in decorator.keywords if isinstance(decorator, ast.Call) else ():
        if keyword.arg == "name" and isinstance(keyword.value, ast.Constant) and isinstance(keyword.value.value, str):
            return keyword.value.value
    return function


@cache
def shipped_by_inspect_evals(table: Path = TABLE) -> Mapping[str, str]:
    """Return name -> what it needs beside an endpoint ("docker" or nothing) of the tasks of inspect_evals."""
    return {row[0]: row[1] for row in read_rows(table) or ()}


def _shipped(entry: Entry) -> InspectTask | Problem:
    name, known = entry.data["task"].removeprefix(f"{INSPECT_EVALS}/"), sorted(shipped_by_inspect_evals())
    if name in known:
        return InspectTask(name, None, None)
    close = nearest(name, known)
    hint = (f"write {close}, or " if close else "") + f"see `snakeval tasks --harness {INSPECT_EVALS}`"
    return Problem(_place(entry), f"names an unknown task of {INSPECT_EVALS}", show(name), choices(name, known), hint)


def _no_file(entry: Entry, stem: str, folders: Sequence[Path]) -> Problem:
    known = sorted({name for file in task_files(folders) for name in (file.stem, *tasks_in(file))})
    hint = f"add {stem}.py with a function under @task to a folder of evaluation.task_dirs"
    if stem in shipped_by_inspect_evals():
        hint += f", or write {INSPECT_EVALS}.{stem} for the one that inspect_evals ships"
    expected = choices(stem, known) if known else "a Python file with a task of Inspect"
    return Problem(_place(entry), "names an unknown task of inspect", show(stem), expected, hint)


def _place(entry: Entry) -> str:
    name, task = entry.data["name"], entry.data["task"]
    return entry.at("task" if task != name and not name.endswith(f".{task}") else "name")
