"""From the composed tree to a draft: each object checked by its schema, defaults and derived values filled in."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from snakeval.config.endpoint import complete_endpoint
from snakeval.config.engines import complete_engine
from snakeval.config.reading.entry import Entry, under
from snakeval.config.reading.overrides import coerced
from snakeval.config.reading.schema import Schema, fill, is_missing
from snakeval.config.reading.schema_files import Schemas
from snakeval.config.reading.tree import Keys, Node, Tree, deep
from snakeval.config.reading.validate import Where, check
from snakeval.config.reading.wording import choices, show
from snakeval.config.tasks.draft import draft_tasks
from snakeval.errors import Problem

_PREFIX = Schema(
    Node(
        {
            "properties": {
                "env_prefix": {
                    "description": "What the names of its variables begin with.",
                    "type": ["string", "null"],
                    "pattern": "^[A-Z][A-Z0-9_]*$",
                    "x-form": "capitals, digits and _, beginning with a letter",
                }
            }
        }
    )
)


@dataclass(frozen=True)
class Draft:
    """All objects that their schemas accept; wrong ones are left out, their problems are known.

    Attributes:
        top: The top level, shallow.
        deployments: With names, served names and endpoints derived.
        tasks: With the settings of `evaluation` filled in.
        deployments_complete: Whether no deployment was left out.
        execution_complete: Whether the execution is the given one; else it is the default one.
        auxiliaries: Deployments that tasks use beside the one that they evaluate.
        prefixes: Name of an auxiliary deployment -> what the names of its variables begin with.
    """

    top: Entry
    execution: Entry
    deployments: tuple[Entry, ...]
    evaluation: Entry
    tasks: tuple[Entry, ...]
    deployments_complete: bool
    execution_complete: bool
    auxiliaries: tuple[Entry, ...] = ()
    prefixes: Mapping[str, str] = field(default_factory=dict)

    @property
    def served(self) -> tuple[Entry, ...]:
        """All deployments, those that are evaluated first."""
        return (*self.deployments, *self.auxiliaries)


def make_draft(tree: Tree, schemas: Schemas, default_run: str) -> tuple[Draft, list[Problem]]:
    """Check every object of the tree by its schema.

    Args:
        tree: Composed, overridden.
        schemas: The schemas to check by.
        default_run: Name of a run that has none.
    """
    schema = schemas.read("config")
    data = Node(coerced(tree.data, schema, tree.from_command_line))
    problems = check(data, schema, tree.where)
    groups = ("deployment", "deployments", "execution")
    shallow = Node({name: value for name, value in data.items() if name not in groups})
    top = Entry(fill(shallow, schema), schema, tree.where)
    if top.data["run"] is None:
        top.data["run"] = default_run
        problems += check(default_run, schema.properties["run"], lambda _: tree.where(("run",)))

    execution, found = _execution(tree, data, schemas)
    execution_complete = not found
    problems += found
    deployments, found, complete = _deployments(tree, data, schemas)
    problems += found
    target = data.get("target")
    if isinstance(target, dict) and isinstance(target.get("api_endpoint"), dict):
        given = Node(fill(Node(target), schema.properties["target"])["api_endpoint"])
    else:
        given = Node({})
    for entry in deployments:
        _derive(entry.data, entry.schema, given)
    auxiliaries, prefixes, found = _auxiliaries(tree, data.get("auxiliary_deployments"), schemas)
    problems += found
    evaluation, tasks = draft_tasks(tree, data.get("evaluation"), schemas)
    return Draft(
        top,
        execution,
        tuple(deployments),
        evaluation,
        tasks,
        complete,
        execution_complete,
        tuple(auxiliaries),
        prefixes,
    ), problems


@dataclass(frozen=True)
class _Raw:
    """One object as the files have it, and how to ask where a key of it came from."""

    data: Node
    locate: Where
    overridden: Callable[[Keys], bool]


def _execution(tree: Tree, data: Node, schemas: Schemas) -> tuple[Entry, list[Problem]]:
    given = data.get("execution")
    raw = _raw(tree, Node({"type": "local", **(given if isinstance(given, dict) else {})}), ("execution",))
    entry, problems = _typed("execution", raw, schemas)
    if entry is None:
        schema = schemas.effective("execution", "local")
        entry = Entry(fill(Node({"type": "local"}), schema), schema, raw.locate)
    return entry, problems


def _deployments(tree: Tree, data: Node, schemas: Schemas) -> tuple[list[Entry], list[Problem], bool]:
    if data.get("deployment") is None and data.get("deployments") is None:
        return [], [_no_deployment(tree)], False
    entries: list[Entry] = []
    problems: list[Problem] = []
    raws = _raw_deployments(tree, data.get("deployment"), data.get("deployments"))
    for raw in raws:
        entry, found = _typed("deployment", raw, schemas)
        problems += found
        if entry:
            entries.append(entry)
    return entries, problems, bool(entries) and len(entries) == len(raws)


def _auxiliaries(tree: Tree, given: Any, schemas: Schemas) -> tuple[list[Entry], dict[str, str], list[Problem]]:
    """Return the auxiliary deployments, named by their keys, and the prefixes of their variables."""
    entries: list[Entry] = []
    prefixes: dict[str, str] = {}
    problems: list[Problem] = []
    for name, data in given.items() if isinstance(given, dict) else ():
        # What is no mapping, or has no name for one, the schema of the top level has found already.
        if not isinstance(data, dict) or not isinstance(name, str):
            continue
        keys = {key: value for key, value in data.items() if key not in ("env_prefix", "name")}
        raw = _raw(tree, Node({**keys, "name": name}), ("auxiliary_deployments", name))
        prefix = Node({"env_prefix": data.get("env_prefix")})
        entry, found = _typed("deployment", raw, schemas)
        found += check(prefix, _PREFIX, raw.locate)
        problems += found
        prefixes[name] = prefix["env_prefix"] or re.sub(r"[^A-Z0-9]", "_", name.upper())
        if entry and not found:
            _derive(entry.data, entry.schema, Node({}))
            entries.append(entry)
    return entries, prefixes, problems


def _raw_deployments(tree: Tree, common: Any, several: Any) -> list[_Raw]:
    """Return what there is to check; `deployment` is the common part of those of `deployments` that share its type."""
    common = Node(common) if isinstance(common, dict) else None
    if not isinstance(several, list):
        return [_raw(tree, common, ("deployment",))] if common is not None else []
    raws: list[_Raw] = []
    for index, deployment in enumerate(several):
        if not isinstance(deployment, dict):
            continue
        raw = _raw(tree, Node(deployment), ("deployments", index))
        if common and _shares(raw.data, common):
            raw = _inheriting(raw, _raw(tree, common, ("deployment",)))
        raws.append(raw)
    return raws


def _raw(tree: Tree, data: Node, base: Keys) -> _Raw:
    return _Raw(data, under(tree, base), lambda keys: tree.from_command_line((*base, *keys)))


def _inheriting(raw: _Raw, common: _Raw) -> _Raw:
    def source(keys: Keys) -> _Raw:
        return common if keys and not _has(raw.data, keys) and _has(common.data, keys) else raw

    return _Raw(
        deep(common.data, raw.data),
        lambda keys: source(keys).locate(keys),
        lambda keys: source(keys).overridden(keys),
    )


def _no_deployment(tree: Tree) -> Problem:
    hint = "choose one in defaults, for example [{deployment: llamacpp}], or write the keys of one"
    return Problem(tree.where(("deployment",)), "is missing", "nothing", "deployment or deployments", hint)


def _shares(deployment: Node, common: Node) -> bool:
    kinds = deployment.get("type"), common.get("type")
    return None in kinds or kinds[0] == kinds[1]


def _typed(group: str, raw: _Raw, schemas: Schemas) -> tuple[Entry | None, list[Problem]]:
    known = schemas.types(group)
    name = raw.data.get("type")
    where = raw.locate(("type",))
    if name is None or is_missing(name):
        hint = f"add `type:`, or choose a file in defaults, for example [{{{group}: {known[0]}}}]"
        return None, [Problem(where, "is missing", "nothing", choices("", known), hint)]
    if name not in known:
        hint = f"config/README.md lists the keys of every {group} type"
        return None, [Problem(where, f"is not a known {group} type", show(name), choices(name, known), hint)]
    schema = schemas.effective(group, name)
    data = Node(coerced(raw.data, schema, raw.overridden))
    problems = check(data, schema, raw.locate)
    return (None if problems else Entry(fill(data, schema), schema, raw.locate)), problems


def _derive(data: Node, schema: Schema, target: Node) -> None:
    if data["type"] == "none":
        for key in ("url", "model_id", "api_key_name"):
            data[key] = data[key] if data[key] is not None else target.get(key)
        complete_endpoint(data)
    complete_engine(data, schema)
    if data["name"] is None:
        data["name"] = re.sub(r"[^A-Za-z0-9._-]+", "-", data["served_model_name"] or "").strip("-._") or data["type"]


def _has(value: Any, keys: Keys) -> bool:
    for key in keys:
        if not isinstance(value, dict) or key not in value:
            return isinstance(value, list)
        value = value[key]
    return True
