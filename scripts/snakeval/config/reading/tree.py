"""A configuration under construction: nested mappings, and for each part the file it came from."""

from collections.abc import Iterator, Mapping
from copy import deepcopy
from typing import Any, NewType

Keys = tuple[str | int, ...]
# One mapping of a file of the configuration or of a schema, as `read_yaml` makes it: keys are texts, values are texts,
# numbers, true, false, null, lists and mappings of the same kind. Which ones, a schema says; what is read after that
# check and not written back is an object of `model.py`.
Node = NewType("Node", dict[str, Any])

COMMAND_LINE = "--config"


class Tree:
    """Nested mappings that later layers are merged into.

    Attributes:
        data: The merged content.
        file: What a message names for a part that no layer has, the last configfile.
    """

    def __init__(self, file: str) -> None:
        self.data = Node({})
        self.file = file
        self._origins: dict[Keys, str] = {}

    def merge(self, layer: Node, origin: str, at: Keys = ()) -> None:
        """Merge a layer over what is there: mappings deeply; lists and scalars replace."""
        target = self._mapping(at)
        for key, value in layer.items():
            here = (*at, key)
            if not isinstance(value, Mapping):
                self._forget(here)
                target[key] = deepcopy(value)
                self._origins[here] = origin
                continue
            if not isinstance(target.get(key), dict):
                self._forget(here)
                target[key] = {}
            self._origins[here] = origin
            self.merge(Node(dict(value)), origin, here)

    def put(self, keys: Keys, value: Any, origin: str) -> None:
        """Set one value, making the mappings on the way; a bare text in a list becomes `{name: text}`."""
        node: Any = self.data
        for depth, key in enumerate(keys[:-1], start=1):
            child = node[int(key)] if isinstance(node, list) else node.get(key)
            if isinstance(child, str) and isinstance(node, list):
                child = {"name": child}
            if not isinstance(child, dict | list):
                self._forget(keys[:depth])
                self._origins[keys[:depth]] = origin
                child = {}
            node[key] = child
            node = child
        self._forget(keys)
        node[keys[-1]] = deepcopy(value)
        self._origins[keys] = origin

    def remove(self, keys: Keys) -> Any:
        """Take the value at `keys` out and return it; None when there is none."""
        node, value = self.get(keys[:-1]), self.get(keys)
        if isinstance(node, dict):
            node.pop(keys[-1], None)
        self._forget(keys)
        return value

    def move(self, source: Keys, target: Keys) -> None:
        """Move a value to where nothing is; its parts keep their files."""
        origins = {keys: self._origins[keys] for keys in self._origins if keys[: len(source)] == source}
        origin = self.origin(source)
        self.put(target, self.remove(source), origin)
        for keys, file in origins.items():
            self._origins[(*target, *keys[len(source) :])] = file

    def leaves(self, keys: Keys = ()) -> Iterator[tuple[Keys, Any]]:
        """Yield every value that is neither a mapping nor a list, with its keys."""
        node = self.get(keys)
        if isinstance(node, dict | list):
            for key in list(node) if isinstance(node, dict) else range(len(node)):
                yield from self.leaves((*keys, key))
        else:
            yield keys, node

    def get(self, keys: Keys) -> Any:
        """Return the value at `keys`, None when there is none."""
        node: Any = self.data
        for key in keys:
            if isinstance(node, dict):
                node = node.get(key)
            elif isinstance(node, list) and isinstance(key, int) and key < len(node):
                node = node[key]
            else:
                return None
        return node

    def origin(self, keys: Keys) -> str:
        """Return the file of the nearest enclosing part that has one."""
        for length in range(len(keys), 0, -1):
            if keys[:length] in self._origins:
                return self._origins[keys[:length]]
        return self.file

    def from_command_line(self, keys: Keys) -> bool:
        """Return whether the value at `keys` was given by `--config`."""
        return self.origin(keys) == COMMAND_LINE

    def where(self, keys: Keys) -> str:
        """Return "file: dotted.path"; elements of lists by their name."""
        return f"{self.origin(keys)}: {self.dotted(keys)}"

    def dotted(self, keys: Keys) -> str:
        """Return the path as users write it in overrides, e.g. "evaluation.tasks.gsm8k.limit"."""
        parts: list[str] = []
        node: Any = self.data
        for key in keys:
            element = None
            if isinstance(node, list) and isinstance(key, int) and key < len(node):
                element = node[key]
                parts.append(element_name(element) or str(key))
            else:
                element = node.get(key) if isinstance(node, dict) else None
                parts.append(str(key))
            node = element
        return ".".join(parts)

    def _mapping(self, at: Keys) -> Node:
        node: Any = self.data
        for key in at:
            node = node[key]
        return Node(node)

    def _forget(self, keys: Keys) -> None:
        for known in [known for known in self._origins if known[: len(keys)] == keys]:
            del self._origins[known]


def element_name(element: Any) -> str | None:
    """Return the name of a list's element: its `name`, or itself when it is a text."""
    if isinstance(element, Mapping):
        element = element.get("name")
    return element if isinstance(element, str) and element else None


def deep(base: Node, over: Node) -> Node:
    """Return a copy of `base` with the keys of `over` over it, mapping by mapping."""
    merged = deepcopy(base)
    for key, value in over.items():
        below = merged.get(key)
        if isinstance(below, dict) and isinstance(value, dict):
            merged[key] = deep(Node(below), Node(value))
        else:
            merged[key] = deepcopy(value)
    return merged
