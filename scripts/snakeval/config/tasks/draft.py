"""The tasks of a configuration, checked by their schema, with the settings of `evaluation` filled in."""

from copy import deepcopy
from typing import Any

from snakeval.config.reading.entry import Entry, under
from snakeval.config.reading.schema import Schema, fill
from snakeval.config.reading.schema_files import Schemas
from snakeval.config.reading.tree import Keys, Node, Tree, deep
from snakeval.config.reading.validate import check

_OF_IMAGES = ("container", "dataset_dir", "dataset_mount_path")
_OF_HARNESSES = ("harness", "command", "tokenizer", "extra", *_OF_IMAGES)
_PER_TASK = ("name", "task", "env_vars", "auxiliary_deployments", *_OF_HARNESSES)


def draft_tasks(tree: Tree, raw: Any, schemas: Schemas) -> tuple[Entry, tuple[Entry, ...]]:
    """Return `evaluation` and its tasks; what their schemas do not accept is left out."""
    schema, task_schema = schemas.read("evaluation"), schemas.read("task")
    here: Keys = ("evaluation",)
    raw = raw if isinstance(raw, dict) else {}
    shared = Node(
        {
            name: value
            for name, value in raw.items()
            if name in schema.properties and not check(value, schema.properties[name], tree.where)
        }
    )
    evaluation = Entry(fill(shared, schema), schema, under(tree, here))
    tasks = []
    for index, item in enumerate(raw.get("tasks") if isinstance(raw.get("tasks"), list) else ()):
        if not check(item, task_schema, tree.where):
            item = {"name": item} if isinstance(item, str) else item
            data = fill(Node(item), task_schema)
            _complete_task(data, evaluation.data, task_schema)
            own_keys = frozenset(name for name, value in item.items() if value is not None)
            given_keys = own_keys | {name for name, value in shared.items() if value is not None}
            where = under(tree, (*here, "tasks", index))
            tasks.append(Entry(data, task_schema, where, given_keys, own_keys, evaluation.data["extra"]))
    return evaluation, tuple(tasks)


def _complete_task(data: Node, shared: Node, schema: Schema) -> None:
    for name in data:
        if name == "adapter_config":
            data[name] = deep(shared[name], data[name])
        elif name not in _PER_TASK and data[name] is None:
            data[name] = deepcopy(shared[name])
    prefix = harness_prefix(data["name"], schema)
    data["harness"] = data["harness"] or prefix
    data["task"] = data["task"] or (data["name"].removeprefix(f"{prefix}.") if prefix else data["name"])


def harness_prefix(name: str, task_schema: Schema) -> str | None:
    """Return the harness that a task's name begins with, `harness.task`; None for a bare name."""
    first, dot, rest = name.partition(".")
    known = first != "command" and first in task_schema.properties["harness"].choices
    return first if dot and rest and known else None
