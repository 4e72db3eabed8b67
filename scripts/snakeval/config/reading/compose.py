"""Composition: `defaults:` entries and configfiles become one tree."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from snakeval.config.reading.tree import Node, Tree
from snakeval.config.reading.wording import choices, show
from snakeval.config.reading.yamlfile import read_yaml, shown
from snakeval.errors import ConfigError, Problem

GROUPS = ("execution", "deployment")
SELF = "_self_"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)*")


@dataclass(frozen=True)
class _Choice:
    group: str
    name: str
    file: Path
    after_self: bool


@dataclass
class _Layer:
    """One configfile: its body, and the group files that it starts from."""

    origin: str
    body: Node
    choices: list[_Choice] = field(default_factory=list)


@dataclass(frozen=True)
class Composition:
    """What the files say.

    Attributes:
        tree: The merged content, without `defaults`.
        problems: Wrong entries of `defaults`.
        broken: Groups that could not be composed; what is missing in them is not the user's next worry.
        chosen: Group -> name of its file, as `defaults` has it.
    """

    tree: Tree
    problems: list[Problem]
    broken: set[str]
    chosen: Mapping[str, str]


def compose(configfiles: Sequence[Path], group_root: Path) -> Composition:
    """Merge configfiles, later over earlier, over the group files that they choose.

    A later file's choice for a group replaces an earlier file's choice. Group files lie below the bodies of all files.
    Only a group file that stands after `_self_` lies over the body of the file that names it.

    Args:
        configfiles: At least one.
        group_root: Folder with the groups that every configfile may use besides those beside it.

    Raises:
        ConfigError: a file cannot be read.
    """
    unreadable: list[Problem] = []
    layers: list[_Layer] = []
    for path in configfiles:
        try:
            layers.append(_Layer(shown(path), read_yaml(path)))
        except ConfigError as error:
            unreadable += error.problems
    if unreadable:
        raise ConfigError(unreadable)

    problems: list[Problem] = []
    broken: set[str] = set()
    for path, layer in zip(configfiles, layers, strict=True):
        reader = _Defaults(layer.origin, (path.parent, group_root))
        layer.choices = reader.read(layer.body.pop("defaults", None))
        problems += reader.problems
        broken |= reader.broken
    chosen = {choice.group: choice.name for layer in layers for choice in layer.choices}
    return Composition(_merged(layers), problems, broken, chosen)


def _merged(layers: Sequence[_Layer]) -> Tree:
    tree = Tree(layers[-1].origin)
    chosen = {choice.group: choice for layer in layers for choice in layer.choices}
    for choice in chosen.values():
        if not choice.after_self:
            tree.merge(Node({choice.group: read_yaml(choice.file)}), shown(choice.file))
    for layer in layers:
        tree.merge(layer.body, layer.origin)
        for choice in layer.choices:
            if choice.after_self and chosen[choice.group] is choice:
                tree.merge(Node({choice.group: read_yaml(choice.file)}), shown(choice.file))
    return tree


class _Defaults:
    """Reads the `defaults` list of one configfile and collects what is wrong with it."""

    def __init__(self, origin: str, folders: Sequence[Path]) -> None:
        self.problems: list[Problem] = []
        self.broken: set[str] = set()
        self._origin = origin
        self._folders = folders

    def read(self, entries: Any) -> list[_Choice]:
        if entries is None:
            return []
        if not isinstance(entries, list):
            self._report("defaults", "has the wrong type", show(entries), "a list of {group: name} and _self_")
            return []
        found: list[_Choice] = []
        seen: set[str] = set()
        for index, entry in enumerate(entries):
            where = f"defaults.{index}"
            group = SELF if entry == SELF else self._group(where, entry)
            if group is None:
                continue
            if group in seen:
                self._report(where, f"chooses {group} a second time", show(entry), "every group and _self_ once")
                continue
            after_self = SELF in seen
            seen.add(group)
            file = self._file(where, group, entry[group]) if group != SELF else None
            if file:
                found.append(_Choice(group, entry[group], file, after_self))
        return found

    def _group(self, where: str, entry: Any) -> str | None:
        if not isinstance(entry, Mapping) or len(entry) != 1:
            self._report(where, "is not an entry of defaults", show(entry), "{group: name} or _self_")
            return None
        group = str(next(iter(entry)))
        if group not in GROUPS:
            self._report(where, "names an unknown group", show(group), choices(group, GROUPS))
            return None
        return group

    def _file(self, where: str, group: str, name: Any) -> Path | None:
        if isinstance(name, str) and _NAME.fullmatch(name):
            for folder in self._folders:
                file = folder / group / f"{name}.yaml"
                if file.is_file():
                    return file
        self.broken.add(group)
        known = sorted({name for folder in self._folders for name in _names(folder / group)})
        hint = f"a name is a file {shown(self._folders[-1] / group)}/NAME.yaml, or one beside the configfile"
        self._report(f"{where}.{group}", "names an unknown file", show(name), choices(name, known), hint)
        return None

    def _report(self, path: str, what: str, got: str, expected: str, hint: str = "") -> None:
        hint = hint or "config/README.md explains defaults, for example [{execution: local}, {deployment: llamacpp}]"
        self.problems.append(Problem(f"{self._origin}: {path}", what, got, expected, hint))


def _names(folder: Path) -> list[str]:
    return [path.relative_to(folder).with_suffix("").as_posix() for path in folder.rglob("*.yaml")]
