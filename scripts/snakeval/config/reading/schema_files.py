"""The JSON Schemas of `schemas/`: found, read, references resolved."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from os.path import normpath
from pathlib import Path
from typing import Any

from snakeval.config.reading.schema import Schema
from snakeval.config.reading.tree import Keys, Node, Tree
from snakeval.config.reading.yamlfile import read_yaml

SUFFIX = ".schema.yaml"


@dataclass(frozen=True)
class Schemas:
    """The schemas of one checkout."""

    folder: Path

    def read(self, name: str) -> Schema:
        """Return a schema by its path without suffix, e.g. "task"."""
        return load_schema(self.folder / f"{name}{SUFFIX}")

    def types(self, group: str) -> list[str]:
        """Return the types of a group ("deployment", "execution"): each schema file beside `common` is one."""
        names = (path.name.removesuffix(SUFFIX) for path in (self.folder / group).glob(f"*{SUFFIX}"))
        return sorted(name for name in names if name != "common")

    def effective(self, group: str, type_name: str) -> Schema:
        """Return the keys of `common` and of one type in one schema."""
        return self.read(f"{group}/{type_name}")

    def default_of(self, tree: Tree) -> Callable[[Keys], Any]:
        """Return a function from a key of `deployment`, `execution` or `evaluation` to its default, or None."""

        def default(keys: Keys) -> Any:
            part, name = keys[0], tuple(keys[1:])
            kind = tree.get((part, "type"))
            if part in ("deployment", "execution") and kind in self.types(str(part)):
                schema = self.effective(str(part), kind)
            elif part == "evaluation":
                schema = self.read("evaluation")
            else:
                return None
            known = schema.properties.get(str(name[0])) if len(name) == 1 else None
            return known.default if known else None

        return default


@cache
def load_schema(path: Path) -> Schema:
    """Return a schema with `$ref` resolved and `allOf` merged; read once per process.

    Of two schemas that `allOf` joins, the properties are merged key by key and `required` is united. What
    `unevaluatedProperties: false` forbids after that is what `additionalProperties: false` forbids.
    """
    return Schema(_resolved(_document(path), path))


@cache
def _document(path: Path) -> Node:
    return read_yaml(path)


def _resolved(node: Any, path: Path) -> Any:
    if isinstance(node, list):
        return [_resolved(item, path) for item in node]
    if not isinstance(node, dict):
        return node
    merged = Node({})
    for part in node.get("allOf", []):
        merged = _joined(merged, _resolved(part, path))
    if "$ref" in node:
        merged = _joined(merged, _target(node["$ref"], path))
    # At a nested `$schema` jsonschema would go on with its own validator instead of the stricter one.
    done = ("$ref", "allOf", "$defs", "$schema")
    rest = Node({key: _resolved(value, path) for key, value in node.items() if key not in done})
    if "unevaluatedProperties" in rest:
        rest["additionalProperties"] = rest.pop("unevaluatedProperties")
    if all("const" in value for value in rest.get("oneOf", ({},))):
        # Values with keys of their own: a plain `enum` for all that only asks which values there are.
        rest["x-values"] = {value["const"]: value for value in rest.pop("oneOf")}
        rest["enum"] = list(rest["x-values"])
    if "x-names-of" in rest:
        rest["enum"] = _with_names(rest["enum"], path.parent / rest.pop("x-names-of"))
    return _joined(merged, rest)


def _with_names(values: list[Any], folder: Path) -> list[Any]:
    """Return the values and the names of the YAML files of a folder, null last."""
    # Not `resolve`: the folder beside the schemas counts, also where these are links.
    names = sorted(path.stem for path in Path(normpath(folder)).glob("*.yaml") if path.stem not in values)
    return sorted([*values, *names], key=lambda value: value is None)


def _target(reference: str, path: Path) -> Any:
    file, _, pointer = reference.partition("#")
    source = (path.parent / file).resolve() if file else path
    if not pointer:
        return load_schema(source).node
    node: Any = _document(source)
    for key in pointer.strip("/").split("/"):
        node = node[key]
    return _resolved(node, source)


def _joined(base: Node, over: Node) -> Node:
    joined = Node({**base, **over})
    if "properties" in base and "properties" in over:
        names = [*base["properties"], *(name for name in over["properties"] if name not in base["properties"])]
        joined["properties"] = {
            name: {**base["properties"].get(name, {}), **over["properties"].get(name, {})} for name in names
        }
    if "required" in base and "required" in over:
        joined["required"] = [*base["required"], *(name for name in over["required"] if name not in base["required"])]
    for name in joined.get("required", ()):
        joined["properties"][name] = {k: v for k, v in joined["properties"][name].items() if k != "default"}
    return joined
