"""A task's setting that its harness does not use is an error, and so is one of `evaluation` that no task uses."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from snakeval.config.draft import Draft
from snakeval.config.reading.entry import Entry
from snakeval.config.reading.wording import choices, show
from snakeval.config.secrets import looks_secret
from snakeval.config.tasks.inspect import INSPECT, INSPECT_EVALS
from snakeval.config.tasks.resolve import ResolvedTask
from snakeval.config.tasks.settings import (
    ADAPTER_SETTINGS,
    GATEWAY_SETTINGS,
    REPEATS,
    SETTINGS,
    UNREGISTERED,
    extra_names,
    lm_eval_takes,
)
from snakeval.endpoint import Protocol
from snakeval.errors import Problem

_VARIABLE = re.compile(r"[A-Z_][A-Z0-9_]*")
# Keys of a task that only harnesses of the registry have.
_REGISTERED_ONLY = ("extra", "container", "dataset_dir", "dataset_mount_path")


def unused_settings(tasks: Sequence[ResolvedTask], draft: Draft) -> Iterator[Problem]:
    """Yield what a task, or `evaluation`, says in vain."""
    for task in tasks:
        if task.registered:
            yield from _of_registered(task)
        else:
            yield from _of_others(task)
    yield from _of_all(tasks, draft)
    for entry in (draft.evaluation, *draft.tasks):
        for key in ("extra", "adapter_config"):
            own = entry.data[key] if entry is draft.evaluation or key in entry.own_keys else {}
            yield from _pasted_secrets(entry, own, (key,))


def _pasted_secrets(entry: Entry, value: Any, keys: tuple[str | int, ...]) -> Iterator[Problem]:
    """Harnesses take keys by the name of a variable; what else stands there may be the key itself."""
    items = value.items() if isinstance(value, Mapping) else enumerate(value) if isinstance(value, list) else ()
    for name, inner in items:
        yield from _pasted_secrets(entry, inner, (*keys, name))
    secret = isinstance(value, str) and (looks_secret(str(keys[-1])) or str(keys[-1]).lower() == "authorization")
    if secret and not _VARIABLE.fullmatch(value):
        got = f"a text of {len(value)} characters (not shown)"
        hint = "name the variable here, and where it comes from in env_vars (NAME: host:NAME)"
        what = "holds something else than the name of a variable"
        yield Problem(entry.at(*keys), what, got, "the name of an environment variable, in capitals", hint)


def _of_registered(task: ResolvedTask) -> Iterator[Problem]:
    harness = task.registered
    if harness is None:
        return
    for ours, theirs in (*SETTINGS.items(), ("limit", "limit_samples")):
        if ours in task.entry.own_keys and theirs not in harness.settings:
            yield _unused(task, (ours,), task.entry.data[ours])
    for key in UNREGISTERED:
        if key in task.entry.own_keys and f"extra.{key}" not in harness.settings:
            yield _unused(task, (key,), task.entry.data[key])
    if task.entry.data["repeats"] != 1 and not any(f"extra.{name}" in harness.settings for name in REPEATS):
        yield _unused(task, ("repeats",), task.entry.data["repeats"])
    for name, value in task.entry.data["adapter_config"].items() if "adapter_config" in task.entry.own_keys else ():
        yield from _of_adapter(task.entry, name, value)
    if "extra" in task.entry.own_keys:
        known = extra_names(harness.settings)
        for name, value in task.entry.data["extra"].items():
            if name not in known and name not in task.defaults_of("extra"):
                hint = f"`snakeval tasks show {harness.name}.{task.task}` lists its settings"
                what = f"is not used by {harness.name}"
                yield Problem(task.entry.at("extra", name), what, show(value, name), choices(name, sorted(known)), hint)


def _of_adapter(entry: Entry, name: str, value: Any) -> Iterator[Problem]:
    if name not in ADAPTER_SETTINGS:
        hint = "docs/registry.md says what the adapter can be told"
        what = "is no setting of nemo-evaluator's adapter"
        expected = choices(name, ADAPTER_SETTINGS)
        yield Problem(entry.at("adapter_config", name), what, show(value, name), expected, hint)


def _of_others(task: ResolvedTask) -> Iterator[Problem]:
    inspects = task.harness in (INSPECT, INSPECT_EVALS)
    if inspects:
        yield from _of_inspect(task)
    for key in _REGISTERED_ONLY:
        if key not in task.entry.own_keys or not task.entry.data[key] or (inspects and key == "extra"):
            continue
        value = task.entry.data[key]
        for name in value if isinstance(value, Mapping) else ():
            yield _unused(task, (key, name), value[name])
        if not isinstance(value, Mapping):
            yield _unused(task, (key,), value)
    for name, value in task.entry.data["adapter_config"].items() if "adapter_config" in task.entry.own_keys else ():
        yield from _of_adapter(task.entry, name, value)
        if name in ADAPTER_SETTINGS and name not in GATEWAY_SETTINGS:
            yield _unused(task, ("adapter_config", name), value)


def _of_inspect(task: ResolvedTask) -> Iterator[Problem]:
    if task.protocol is not Protocol.CHAT:
        hint = "leave protocol out, or give it to the tasks that it is meant for"
        what, got = "is not what Inspect sends", task.protocol.value
        yield Problem(task.entry.at("protocol"), what, got, Protocol.CHAT.value, hint)
    for key in ("num_fewshot", "tokenizer"):
        if key in task.entry.own_keys:
            yield _unused(task, (key,), task.entry.data[key])
    for name, value in task.entry.data["extra"].items() if task.arguments is not None else ():
        if name not in (task.arguments or ()):
            expected = choices(name, task.arguments or ()) if task.arguments else "nothing"
            what = f"is no argument of task {task.task}"
            hint = "extra holds the arguments of the function under @task"
            yield Problem(task.entry.at("extra", name), what, show(value, name), expected, hint)


def _of_all(tasks: Sequence[ResolvedTask], draft: Draft) -> Iterator[Problem]:
    shared = draft.evaluation
    for name, value in shared.data["extra"].items():
        used = any(_uses_extra(task, name, value) for task in tasks)
        if tasks and not used:
            hint = "remove it, or give it to the task that it is meant for"
            yield Problem(shared.at("extra", name), "is used by no task", show(value, name), "nothing", hint)
    # What happens to answers on their way changes scores: it must not hold for some tasks and silently not for others.
    for name, value in shared.data["adapter_config"].items():
        yield from _of_adapter(shared, name, value)
        for task in tasks if name in ADAPTER_SETTINGS and name not in GATEWAY_SETTINGS else ():
            if not task.registered:
                what = f"cannot be honoured for task {task.entry.data['name']} ({task.harness})"
                hint = "give adapter_config to the tasks that it is meant for, harnesses of nemo-evaluator"
                yield Problem(shared.at("adapter_config", name), what, show(value, name), "nothing", hint)


def _uses_extra(task: ResolvedTask, name: str, value: Any) -> bool:
    if task.registered:
        return name in extra_names(task.registered.settings) or name in task.defaults_of("extra")
    return task.harness == "lm-eval" and lm_eval_takes(name, value)


def _unused(task: ResolvedTask, keys: tuple[str, ...], value: Any) -> Problem:
    what = f"is not used by {task.harness}"
    hint = f"remove it; docs/registry.md says what harness {task.harness} can be told"
    return Problem(task.entry.at(*keys), what, show(value, keys[-1]), "nothing", hint)
