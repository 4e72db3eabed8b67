"""Which harness runs a task, by which definition, with which kind of request."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from snakeval.config.reading.entry import Entry
from snakeval.config.reading.tree import Node, deep
from snakeval.config.reading.wording import choices, nearest, show
from snakeval.config.reading.yamlfile import read_yaml
from snakeval.config.tasks.inspect import INSPECT, INSPECT_EVALS, find_inspect_task
from snakeval.config.tasks.registry import RegisteredHarness, RegisteredTask, Registry
from snakeval.config.tasks.settings import REPEATS, SETTINGS, UNREGISTERED, extra_names, lm_eval_takes
from snakeval.endpoint import Protocol
from snakeval.errors import ConfigError, Problem
from snakeval.system.files import read_rows

# A "mixed" group has tasks of both kinds; what answers log-probabilities can also generate.
_LOGLIKELIHOOD = ("loglikelihood", "loglikelihood_rolling", "multiple_choice", "mixed")
_INCLUDE_DEPTH = 10
_LM_EVAL = ("lm-eval", "lm-evaluation-harness")


@dataclass(frozen=True)
class ResolvedTask:
    """What the configuration of a task comes down to.

    Attributes:
        entry: The task's keys.
        harness: The program that knows it.
        task: What the harness calls it.
        protocol: The kind of request that it sends.
        definition: The YAML that defines it, None when the harness ships it.
        registered: The harness as the registry has it, None for lm-eval and command.
        notice: How a bare name was understood, when it could be understood otherwise.
        arguments: What a task of Inspect takes in `extra`, None when that is not known.
    """

    entry: Entry
    harness: str
    task: str
    protocol: Protocol
    definition: Path | None
    registered: RegisteredHarness | None = None
    notice: str | None = None
    arguments: tuple[str, ...] | None = None

    def defaults_of(self, key: str) -> Node:
        """Return the registry's defaults of a mapping such as `extra`."""
        registered = self.registered.tasks.get(self.task) if self.registered else None
        return Node(dict(registered.defaults.get(key, {})) if registered else {})


@dataclass(frozen=True)
class TaskIndex:
    """Where tasks are looked up.

    Attributes:
        folders: Folders with definitions, first wins.
        shipped: Table of the tasks that lm-eval ships: name, kind, output type, separated by tabs. May be absent.
        registry: The other harnesses.
    """

    folders: Sequence[Path]
    shipped: Path
    registry: Registry

    def definition(self, task: str) -> Path | None:
        """Return the first `<task>.yaml`, in a folder itself or one level below."""
        if "/" in task:
            return None
        for folder in self.folders:
            for file in (folder / f"{task}.yaml", *sorted(folder.glob(f"*/{task}.yaml"))):
                if file.is_file():
                    return file
        return None

    def names(self) -> list[str]:
        """Return every task that can be named, for messages."""
        local = (file.stem for folder in self.folders for file in folder.glob("*.yaml"))
        own = {name for name in local if not name.startswith("_")} | set(shipped_tasks(self.shipped) or ())
        return sorted(own | set(self.registry.tasks()))


@cache
def shipped_tasks(table: Path) -> Mapping[str, str] | None:
    """Return name -> output type of the tasks that lm-eval ships, None without a table."""
    rows = read_rows(table)
    return None if rows is None else {row[0]: row[2] if len(row) > 2 else "" for row in rows}


def resolve_task(entry: Entry, index: TaskIndex) -> ResolvedTask | Problem:
    """Return what runs the task, or the finding that nothing of this name is known.

    A bare name is looked up in the folders with definitions, among the tasks that lm-eval ships, in the registry.

    Raises:
        ConfigError: the definition cannot be read.
    """
    harness, name = entry.data["harness"], entry.data["task"]
    if entry.data["command"] is not None or harness == "command":
        return ResolvedTask(entry, "command", name, _sent(entry, Protocol.CHAT), None)
    if harness in (INSPECT, INSPECT_EVALS):
        return _of_inspect(entry, index)
    if harness in (None, *_LM_EVAL):
        registered = index.registry.task("lm-evaluation-harness", name) if harness == "lm-evaluation-harness" else None
        found = _defined(entry, index) or (None if registered else _shipped(entry, index))
        if found:
            return replace(found, notice=_notice(found, "lm-eval", index)) if harness is None else found
    holders = [harness] if harness else index.registry.holders(name)
    for holder in holders:
        task, known = index.registry.task(holder, name), index.registry.harness(holder)
        if task and known:
            found = _registered(entry, known, task)
            return found if harness else replace(found, notice=_notice(found, holder, index))
    return _unknown(entry, index)


def _for_lm_eval(entry: Entry) -> Entry:
    """Return the keys of a task with what lm-eval has a key for, or has anyway, taken out of `extra`."""
    data = Node(dict(entry.data))
    tokenizer = deep(entry.shared_extra, data["extra"]).get("tokenizer")
    data["tokenizer"] = data["tokenizer"] or tokenizer
    data["extra"] = {name: value for name, value in data["extra"].items() if not lm_eval_takes(name, value)}
    return replace(entry, data=data)


def _sent(entry: Entry, natural: Protocol) -> Protocol:
    """Return the kind of request: what is asked for, else the task's own.

    Log-probabilities are asked of the completions path, so `completions` does not turn them into generation.
    """
    given = Protocol(entry.data["protocol"]) if entry.data["protocol"] else None
    if given is Protocol.COMPLETIONS and natural is Protocol.LOGLIKELIHOOD:
        return natural
    return given or natural


def _defined(entry: Entry, index: TaskIndex) -> ResolvedTask | None:
    name = entry.data["task"]
    definition = index.definition(name)
    if definition is None:
        return None
    content = _definition(definition)
    called = content.get("task") if isinstance(content.get("task"), str) else content.get("group")
    protocol = _sent(entry, natural_protocol(str(content.get("output_type") or "")))
    return ResolvedTask(_for_lm_eval(entry), "lm-eval", str(called or name), protocol, definition)


def _shipped(entry: Entry, index: TaskIndex) -> ResolvedTask | None:
    name, shipped = entry.data["task"], shipped_tasks(index.shipped)
    if shipped is not None and name not in shipped:
        return None
    protocol = _sent(entry, natural_protocol((shipped or {}).get(name, "")))
    return ResolvedTask(_for_lm_eval(entry), "lm-eval", name, protocol, None)


def _of_inspect(entry: Entry, index: TaskIndex) -> ResolvedTask | Problem:
    """Return a task of Inspect, which sends chats, and has no word for examples and tokenizer but its own arguments."""
    found = find_inspect_task(entry, index.folders)
    if isinstance(found, Problem):
        return found
    unused = {key: entry.data[key] if key in entry.own_keys else None for key in ("num_fewshot", "tokenizer")}
    harness, sent = entry.data["harness"], _sent(entry, Protocol.CHAT)
    own = replace(entry, data=Node(entry.data | unused))
    return ResolvedTask(own, harness, found.name, sent, found.definition, arguments=found.arguments)


def _registered(entry: Entry, harness: RegisteredHarness, task: RegisteredTask) -> ResolvedTask:
    """Return a task of the registry, its settings where the configuration says nothing; lm-eval's own where it can."""
    data, protocol = Node(dict(entry.data)), _sent(entry, task.protocols[0])
    if task.native is not None and data["container"] is None:
        settings = {key: value for key, value in task.native.settings.items() if key not in entry.given_keys}
        own = _for_lm_eval(replace(entry, data=Node(data | settings)))
        return ResolvedTask(own, "lm-eval", task.native.task, protocol, None)
    extra = task.defaults.get("extra", {})
    placed = {}
    for key in UNREGISTERED:
        if key in entry.given_keys and f"extra.{key}" in harness.settings:
            placed[key] = entry.data[key]
        data[key] = entry.data[key] if key in entry.own_keys and key not in placed else None
    for ours, theirs in SETTINGS.items():
        if ours not in entry.given_keys and theirs in harness.settings:
            data[ours] = task.defaults.get(theirs, data[ours])
        elif theirs not in harness.settings and ours not in entry.own_keys:
            data[ours] = None
    repeats = next((extra[key] for key in REPEATS if extra.get(key)), None)
    if repeats and "repeats" not in entry.given_keys:
        data["repeats"] = repeats
    known = {**extra, **dict.fromkeys(extra_names(harness.settings))}
    shared = Node({key: value for key, value in entry.shared_extra.items() if key in known})
    usual = Node({key: extra[key] for key in extra if key not in REPEATS})
    data["extra"] = deep(usual, deep(shared, Node(placed | data["extra"])))
    return ResolvedTask(replace(entry, data=data), harness.name, task.name, protocol, None, harness)


def _notice(task: ResolvedTask, chosen: str, index: TaskIndex) -> str | None:
    """Return how a bare name was understood, and what else has this name; None when nothing else has."""
    name = task.entry.data["task"]
    others = []
    for harness in index.registry.holders(name):
        other = index.registry.task(harness, name)
        if other and harness != chosen and not _same(task, other):
            others.append(f"{harness}.{name} ({_summary(other)})")
    if task.definition or not others:
        return None
    understood = f"task {task.entry.data['name']} is {chosen}.{name} ({task.protocol.value})"
    return f"{understood}; by its full name you get another: {', '.join(others)}"


def _same(task: ResolvedTask, other: RegisteredTask) -> bool:
    """Return whether the other task would run as this very one."""
    asks_the_same = other.native is not None and other.native.task == task.task and not _differing(other)
    return task.harness == "lm-eval" and asks_the_same and other.protocols[0] is task.protocol


def _differing(task: RegisteredTask) -> Node:
    """Return the settings of a task that lm-eval runs natively, but for the launcher's spelling of greedy."""
    greedy = {"temperature": 1e-07, "top_p": 0.9999999}
    settings = task.native.settings if task.native else {}
    return Node({key: value for key, value in settings.items() if greedy.get(key) != value})


def _summary(task: RegisteredTask) -> str:
    protocols = ", ".join(protocol.value for protocol in task.protocols)
    return ", ".join([protocols, *(f"{key} {value}" for key, value in _differing(task).items())])


def _unknown(entry: Entry, index: TaskIndex) -> Problem:
    name, harness = entry.data["task"], entry.data["harness"]
    registered = index.registry.harness(harness) if harness and harness not in _LM_EVAL else None
    known = sorted(registered.tasks) if registered else index.names()
    close = nearest(name, known)
    key = "task" if name != entry.data["name"] and not entry.data["name"].endswith(f".{name}") else "name"
    advice = "add a definition NAME.yaml to a folder of evaluation.task_dirs"
    return Problem(
        where=entry.at(key),
        what=f"names an unknown task of {harness}" if registered else "names an unknown task",
        got=show(name),
        expected=choices(name, known),
        hint=(f"write {close}, or " if close else "") + ("see `snakeval tasks`" if registered else advice),
    )


def protocol_problems(task: ResolvedTask, deployments: Sequence[Entry]) -> Iterator[Problem]:
    """Yield a finding for every deployment that does not answer what the task sends."""
    for deployment in deployments:
        answered = deployment.data.get("protocols") or deployment.schema.engine.protocols
        if task.protocol.value in answered:
            continue
        reason = deployment.schema.engine.protocols_note if task.protocol is Protocol.LOGLIKELIHOOD else None
        yield Problem(
            where=task.entry.at("protocol"),
            what=f"is not answered by deployment {deployment.data['name']}",
            got=task.protocol.value,
            expected=choices("", answered),
            hint=f"{reason}; take a generative variant of the task or another deployment type"
            if reason
            else "choose another protocol, or add it to the deployment's protocols when its server answers it",
        )


def _definition(file: Path) -> Node:
    """Return a definition's keys, those of the files that it includes below its own."""
    merged = Node({})
    for _ in range(_INCLUDE_DEPTH):
        content = read_yaml(file, tags=True)
        merged = Node({**content, **merged})
        include = content.get("include")
        if not isinstance(include, str):
            return merged
        file = file.parent / (include if include.endswith((".yaml", ".yml")) else f"{include}.yaml")
        if not (file.is_file()):
            file = file.with_name(Path(include).name)
    hint = "break the circle of includes"
    raise ConfigError([Problem(f"{file}: include", "has no end", "a circle", f"{_INCLUDE_DEPTH} files at most", hint)])


def natural_protocol(output_type: str) -> Protocol:
    """Return the kind of request that lm-eval's tasks of an output type send by default."""
    kinds = output_type.replace("|", ",").split(",")
    return Protocol.LOGLIKELIHOOD if any(kind.strip() in _LOGLIKELIHOOD for kind in kinds) else Protocol.CHAT
