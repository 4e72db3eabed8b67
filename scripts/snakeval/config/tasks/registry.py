"""The registry: which harnesses and tasks there are, read from config/harnesses/, and of it only what is asked for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType

from snakeval.config.reading.schema import fill
from snakeval.config.reading.schema_files import Schemas
from snakeval.config.reading.tree import Node, deep
from snakeval.config.reading.validate import check
from snakeval.config.reading.yamlfile import read_yaml, shown
from snakeval.endpoint import Protocol
from snakeval.errors import ConfigError, Problem
from snakeval.system.checkout import SCHEMAS
from snakeval.system.files import read_rows

INDEX = "index.tsv"  # Of the launcher's harnesses, so that a bare name is found without reading them all.
# Who gets a bare name that several harnesses have, after lm-eval itself; all others come between, by name.
PREFERRED = ("lm-evaluation-harness", "simple_evals", "bigcode-evaluation-harness")
LAST = ("codec",)  # The same names, but it measures whether a model has seen the benchmark.


@dataclass(frozen=True)
class NativeTask:
    """A task of our own lm-eval, with settings under our names."""

    task: str
    settings: Node


@dataclass(frozen=True)
class RegisteredTask:
    """One task of one harness.

    Attributes:
        name: Its name within the harness.
        protocols: Kinds of request that it can send, the usual one first.
        defaults: Settings that it is run with unless others are given, under the harness's names (`extra.n_samples`).
        judge: "required" or "optional" when another model scores answers, else None.
        secrets: Environment variables that it reads keys from.
        native: What our own lm-eval runs in its place, None without it.
    """

    name: str
    protocols: tuple[Protocol, ...]
    defaults: Node
    judge: str | None
    secrets: tuple[str, ...]
    native: NativeTask | None


@dataclass(frozen=True)
class RegisteredHarness:
    """One harness.

    Attributes:
        name: As in `harness.task`.
        version: Of the release that the rest belongs to.
        module: The module of snakeval.harnesses that runs it.
        package: What it is called on PyPI, with its version, None when it is not there.
        container: Reference of its image, with the digest.
        platforms: Platforms of the image, e.g. "linux/amd64".
        settings: The parameters that its command line uses, those below `extra` dotted.
        tasks: By name.
    """

    name: str
    version: str
    module: str
    package: str | None
    container: str
    platforms: tuple[str, ...]
    settings: frozenset[str]
    tasks: Mapping[str, RegisteredTask]

    @property
    def environment(self) -> str:
        """What the environment of its package is called, if there is one; empty without a package."""
        return (self.package or "").partition("==")[0]


@dataclass(frozen=True)
class Registry:
    """The harnesses of one checkout, none of them in memory before it is asked for."""

    folder: Path

    def names(self) -> list[str]:
        """Return the harnesses' names."""
        return sorted(path.stem for path in self.folder.glob("*.yaml"))

    def harness(self, name: str) -> RegisteredHarness | None:
        """Return a harness, None for a name that is none."""
        path = self.folder / f"{name}.yaml"
        return _read(path) if path.is_file() else None

    def task(self, harness: str, name: str) -> RegisteredTask | None:
        """Return a task, None when the harness or the task is unknown."""
        found = self.harness(harness)
        return found.tasks.get(name) if found else None

    def holders(self, task: str) -> Sequence[str]:
        """Return the harnesses that have a task of this name, the preferred one first."""
        return sorted(_index(self.folder).get(task, ()), key=_rank)

    def tasks(self) -> Mapping[str, Sequence[str]]:
        """Return every task's name with the harnesses that have it."""
        return _index(self.folder)


def _rank(harness: str) -> tuple[int, str]:
    if harness in PREFERRED:
        return PREFERRED.index(harness), harness
    return len(PREFERRED) + (harness in LAST), harness


@cache
def _index(folder: Path) -> Mapping[str, Sequence[str]]:
    """Return every task's name with its harnesses: those of the index, then those of files that it does not know."""
    found: dict[str, list[str]] = {}
    for task, harness, _ in read_rows(folder / INDEX) or ():
        found.setdefault(task, []).append(harness)
    indexed = {harness for harnesses in found.values() for harness in harnesses}
    for path in sorted(folder.glob("*.yaml")):
        if path.stem not in indexed:
            for task in _read(path).tasks:
                found.setdefault(task, []).append(path.stem)
    return MappingProxyType(found)


@cache
def _read(path: Path) -> RegisteredHarness:
    content = _checked(path)
    common = Node(content["defaults"])
    return RegisteredHarness(
        name=content["harness"],
        version=content["version"],
        module=content["module"],
        package=content["package"],
        container=content["container"],
        platforms=tuple(content["platforms"]),
        settings=frozenset(content["settings"]),
        tasks={name: _task(name, entry, common) for name, entry in content["tasks"].items()},
    )


def _checked(path: Path) -> Node:
    """Return the content of a harness's file, defaults filled in; raises ConfigError with all that is wrong with it."""
    content, schema = read_yaml(path), Schemas(SCHEMAS).read("harness")
    problems = check(content, schema, lambda keys: f"{shown(path)}: {'.'.join(map(str, keys))}")
    if not problems and content["harness"] != path.stem:
        hint = "a harness is found by the name of its file"
        where = f"{shown(path)}: harness"
        problems = [Problem(where, "differs from the file's name", content["harness"], path.stem, hint)]
    if problems:
        raise ConfigError(problems)
    return fill(content, schema)


def _task(name: str, entry: Node, common: Node) -> RegisteredTask:
    native = entry.get("native")
    return RegisteredTask(
        name=name,
        protocols=tuple(Protocol(protocol) for protocol in entry["protocols"]),
        defaults=_without_nulls(deep(common, Node(entry.get("defaults", {})))),
        judge=entry.get("judge"),
        secrets=tuple(entry.get("secrets", ())),
        native=_native(Node(native)) if native is not None else None,
    )


def _native(native: Node) -> NativeTask:
    return NativeTask(native["task"], Node({key: value for key, value in native.items() if key != "task"}))


def _without_nulls(defaults: Node) -> Node:
    """Return what is not null: what is, the harness decides."""
    said = {key: value for key, value in defaults.items() if value is not None}
    return Node({key: _without_nulls(Node(value)) if isinstance(value, dict) else value for key, value in said.items()})
