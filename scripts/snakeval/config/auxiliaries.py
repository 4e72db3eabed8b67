"""Deployments that tasks use beside the one that they evaluate (`auxiliary_deployments`): judges, simulated users."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from snakeval.config.draft import Draft
from snakeval.config.reading.entry import Entry
from snakeval.config.reading.tree import Node
from snakeval.config.reading.wording import choices, show
from snakeval.errors import Problem

# What a task is told of each, behind the prefix of its variables.
URL, BASE_URL, MODEL, KEY = "CHAT_URL", "BASE_URL", "MODEL_ID", "API_KEY"
_RESERVED = ("SLURM", "PRIMARY", "MODEL", "SERVER", "SNAKEVAL")
_FACTS = {"chat_url": URL, "base_url": BASE_URL, "model_id": MODEL}
_REFERENCE = re.compile(rf"\bauxiliary_deployments\.([A-Za-z0-9_-]+)\.({'|'.join(_FACTS)})\b")
_SAID_IN = ("extra", "adapter_config", "command", "env_vars", "pre_cmd", "post_cmd", "system_prompt")


def named_by(data: Node, prefixes: Mapping[str, str]) -> tuple[str, ...]:
    """Return the auxiliary deployments that a task uses, in the order of the configuration.

    Args:
        data: The task's keys.
        prefixes: Name -> prefix of the variables.
    """
    said = [text for key in _SAID_IN for text in _texts(data.get(key))]
    known = set(data.get("auxiliary_deployments") or ())
    known |= {found[1] for text in said for found in _REFERENCE.finditer(text)}
    for name, prefix in prefixes.items():
        # A model of Inspect, openai-api/PROVIDER/MODEL, reads PROVIDER_BASE_URL.
        provider = prefix.lower().replace("_", "-")
        spelled = re.compile(rf"\b{prefix}_({URL}|{BASE_URL}|{MODEL})\b|\bopenai-api/{provider}/")
        if any(spelled.search(text) for text in said):
            known.add(name)
    return tuple(name for name in prefixes if name in known)


def with_references(value: Any, facts: Mapping[str, Mapping[str, str]]) -> Any:
    """Return a value with every `auxiliary_deployments.NAME.FACT` in its texts replaced.

    Args:
        value: Of any type; mappings and lists are searched.
        facts: Name of the auxiliary deployment -> name of a variable without its prefix -> value.
    """
    if isinstance(value, Mapping):
        return {key: with_references(inner, facts) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(with_references(inner, facts) for inner in value)
    if isinstance(value, str):
        return _REFERENCE.sub(lambda found: facts[found[1]][_FACTS[found[2]]] if found[1] in facts else found[0], value)
    return value


def auxiliary_rules(draft: Draft) -> Iterator[Problem]:
    """Yield what is wrong with auxiliary deployments and the way in which tasks name them."""
    yield from _prefixes(draft)
    shared = Node({key: draft.evaluation.data[key] for key in ("extra", "env_vars")})
    used: set[str] = set()
    for task in draft.tasks:
        yield from _unknown_names(task, draft)
        used.update(named_by(task.data, draft.prefixes), named_by(shared, draft.prefixes))
    for entry in draft.auxiliaries:
        name = entry.data["name"]
        if draft.tasks and name not in used:
            hint = f"name it in the settings of a task (auxiliary_deployments.{name}.chat_url), or remove it"
            yield Problem(entry.at(), "is used by no task", show(name), "a task that names it", hint)


def _prefixes(draft: Draft) -> Iterator[Problem]:
    seen: dict[str, str] = {}
    for entry in draft.auxiliaries:
        name = entry.data["name"]
        prefix = draft.prefixes[name]
        if prefix in _RESERVED:
            hint = "give it another env_prefix; variables of this name mean something else"
            yield Problem(entry.at("env_prefix"), "is reserved", prefix, f"none of {', '.join(_RESERVED)}", hint)
        if prefix in seen:
            hint = "give one of them another env_prefix"
            what = f"is the prefix of auxiliary deployment {seen[prefix]} too"
            yield Problem(entry.at("env_prefix"), what, prefix, "a prefix of its own", hint)
        seen[prefix] = name


def _unknown_names(task: Entry, draft: Draft) -> Iterator[Problem]:
    known = sorted(draft.prefixes)
    named = [(("auxiliary_deployments", at), name) for at, name in enumerate(task.data["auxiliary_deployments"] or ())]
    for key in _SAID_IN:
        for text in _texts(task.data.get(key)):
            named += [((key, 0), found[1]) for found in _REFERENCE.finditer(text)]
    for (key, position), name in named:
        if name not in known:
            where = task.at(key, position) if key == "auxiliary_deployments" else task.at(key)
            hint = "add it to auxiliary_deployments at the top level"
            expected = choices(name, known) if known else "the name of an auxiliary deployment; there is none"
            yield Problem(where, "names an unknown auxiliary deployment", show(name), expected, hint)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _texts(inner)
    elif isinstance(value, Sequence):
        for inner in value:
            yield from _texts(inner)
