"""Which harness runs a task, by which definition, with which kind of request."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from snakeval.config.draft import Entry
from snakeval.config.model import Protocol
from snakeval.config.wording import choices, nearest, show
from snakeval.config.yamlfile import read_yaml
from snakeval.errors import ConfigError, Problem

# A "mixed" group has tasks of both kinds; what answers log-probabilities can also generate.
_LOGLIKELIHOOD = ("loglikelihood", "loglikelihood_rolling", "multiple_choice", "mixed")
_INCLUDE_DEPTH = 10


@dataclass(frozen=True)
class ResolvedTask:
    """What the configuration of a task comes down to.

    Attributes:
        entry: The task's keys.
        harness: "lm-eval" or "command".
        task: What the harness calls it.
        protocol: The kind of request that it sends.
        definition: The YAML that defines it, None when the harness ships it.
    """

    entry: Entry
    harness: str
    task: str
    protocol: Protocol
    definition: Path | None


@dataclass(frozen=True)
class TaskIndex:
    """Where tasks are looked up.

    Attributes:
        folders: Folders with definitions, first wins.
        shipped: Table of the tasks that lm-eval ships: name, kind, output type, separated by tabs. May be absent.
    """

    folders: Sequence[Path]
    shipped: Path

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
        return sorted({name for name in local if not name.startswith("_")} | set(shipped_tasks(self.shipped) or ()))


@cache
def shipped_tasks(table: Path) -> Mapping[str, str] | None:
    """Return name -> output type of the tasks that lm-eval ships, None without a table."""
    try:
        lines = table.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return None
    rows = (line.split("\t") for line in lines if line and not line.startswith("#"))
    return {row[0]: row[2] if len(row) > 2 else "" for row in rows}


def resolve_task(entry: Entry, index: TaskIndex) -> ResolvedTask | Problem:
    """Return what runs the task, or the finding that nothing of this name is known.

    Raises:
        ConfigError: the definition cannot be read.
    """
    given = Protocol(entry.data["protocol"]) if entry.data["protocol"] else None
    name = entry.data["task"]
    if entry.data["command"] is not None:
        return ResolvedTask(entry, "command", name, given or Protocol.CHAT, None)
    definition = index.definition(name)
    if definition:
        content = _definition(definition)
        called = content.get("task") if isinstance(content.get("task"), str) else content.get("group")
        protocol = given or _protocol(str(content.get("output_type") or ""))
        return ResolvedTask(entry, "lm-eval", str(called or name), protocol, definition)
    shipped = shipped_tasks(index.shipped)
    if shipped is None or name in shipped:
        return ResolvedTask(entry, "lm-eval", name, given or _protocol((shipped or {}).get(name, "")), None)
    known = index.names()
    close = nearest(name, known)
    key = "task" if name != entry.data["name"] and not entry.data["name"].endswith(f".{name}") else "name"
    return Problem(
        where=entry.at(key),
        what="names an unknown task",
        got=show(name),
        expected=choices(name, known),
        hint=(f"write {close}, or " if close else "")
        + "add a definition NAME.yaml to a folder of evaluation.task_dirs",
    )


def protocol_problems(task: ResolvedTask, deployments: Sequence[Entry]) -> Iterator[Problem]:
    """Yield a finding for every deployment that does not answer what the task sends."""
    for deployment in deployments:
        answered = deployment.data.get("protocols") or deployment.schema["x-protocols"]
        if task.protocol.value in answered:
            continue
        reason = deployment.schema.get("x-protocols-note") if task.protocol is Protocol.LOGLIKELIHOOD else None
        yield Problem(
            where=task.entry.at("protocol"),
            what=f"is not answered by deployment {deployment.data['name']}",
            got=task.protocol.value,
            expected=choices("", answered),
            hint=f"{reason}; take a generative variant of the task or another deployment type"
            if reason
            else "choose another protocol, or add it to the deployment's protocols when its server answers it",
        )


def _definition(file: Path) -> dict[str, Any]:
    """Return a definition's keys, those of the files that it includes below its own."""
    merged: dict[str, Any] = {}
    for _ in range(_INCLUDE_DEPTH):
        content = read_yaml(file, tags=True)
        merged = {**content, **merged}
        include = content.get("include")
        if not isinstance(include, str):
            return merged
        file = file.parent / (include if include.endswith((".yaml", ".yml")) else f"{include}.yaml")
        if not (file.is_file()):
            file = file.with_name(Path(include).name)
    hint = "break the circle of includes"
    raise ConfigError([Problem(f"{file}: include", "has no end", "a circle", f"{_INCLUDE_DEPTH} files at most", hint)])


def _protocol(output_type: str) -> Protocol:
    kinds = output_type.replace("|", ",").split(",")
    return Protocol.LOGLIKELIHOOD if any(kind.strip() in _LOGLIKELIHOOD for kind in kinds) else Protocol.CHAT
