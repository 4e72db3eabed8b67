"""The JSON Schemas of `schemas/`: found, read, references resolved, defaults filled in."""

from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from snakeval.config.reading.tree import Keys, Tree
from snakeval.config.reading.yamlfile import read_yaml

Schema = Mapping[str, Any]

SUFFIX = ".schema.yaml"
MISSING = "???"  # what NeMo Evaluator Launcher's files write for a value that the user has to give


@dataclass(frozen=True)
class Schemas:
    """The schemas of one checkout."""

    folder: Path

    def read(self, name: str) -> Schema:
        """Return a schema by its path without suffix, e.g. "task"."""
        return load_schema(self.folder / f"{name}{SUFFIX}")

    def types(self, group: str) -> list[str]:
        """Return the types of a group ("deployment", "execution"): each schema file beside `common` is one."""
        found = (path.name.removesuffix(SUFFIX) for path in (self.folder / group).glob(f"*{SUFFIX}"))
        return sorted(name for name in found if name != "common")

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
            return schema["properties"].get(name[0], {}).get("default") if len(name) == 1 else None

        return default


@cache
def load_schema(path: Path) -> Schema:
    """Return a schema with `$ref` resolved and `allOf` merged; read once per process, not to be changed.

    Of two schemas that `allOf` joins, the properties are merged key by key and `required` is united. What
    `unevaluatedProperties: false` forbids after that is what `additionalProperties: false` forbids.
    """
    schema: dict[str, Any] = _resolved(_document(path), path)
    return schema


@cache
def _document(path: Path) -> dict[str, Any]:
    return read_yaml(path)


def _resolved(node: Any, path: Path) -> Any:
    if isinstance(node, list):
        return [_resolved(item, path) for item in node]
    if not isinstance(node, dict):
        return node
    merged: dict[str, Any] = {}
    for part in node.get("allOf", []):
        merged = _joined(merged, _resolved(part, path))
    if "$ref" in node:
        merged = _joined(merged, _target(node["$ref"], path))
    # At a nested `$schema` jsonschema would go on with its own validator instead of the stricter one.
    done = ("$ref", "allOf", "$defs", "$schema")
    own = {key: _resolved(value, path) for key, value in node.items() if key not in done}
    if "unevaluatedProperties" in own:
        own["additionalProperties"] = own.pop("unevaluatedProperties")
    return _joined(merged, own)


def _target(reference: str, path: Path) -> Any:
    file, _, pointer = reference.partition("#")
    source = (path.parent / file).resolve() if file else path
    if not pointer:
        return load_schema(source)
    node: Any = _document(source)
    for key in pointer.strip("/").split("/"):
        node = node[key]
    return _resolved(node, source)


def _joined(base: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    joined = {**base, **own}
    if "properties" in base and "properties" in own:
        names = [*base["properties"], *(name for name in own["properties"] if name not in base["properties"])]
        joined["properties"] = {
            name: {**base["properties"].get(name, {}), **own["properties"].get(name, {})} for name in names
        }
    if "required" in base and "required" in own:
        joined["required"] = [*base["required"], *(name for name in own["required"] if name not in base["required"])]
    for name in joined.get("required", ()):
        joined["properties"][name] = {k: v for k, v in joined["properties"][name].items() if k != "default"}
    return joined


def types_of(schema: Schema) -> tuple[str, ...]:
    """Return the JSON types that a schema allows; empty when it allows all."""
    types = schema.get("type", ())
    return (types,) if isinstance(types, str) else tuple(types)


def is_missing(value: Any) -> bool:
    """Return whether a value says that the user still has to give it."""
    return isinstance(value, str) and value == MISSING


def fill(value: Any, schema: Schema) -> Any:
    """Return a copy of `value` with defaults filled in, in the order of the schema."""
    if not isinstance(value, Mapping) or "properties" not in schema:
        return deepcopy(value)
    filled: dict[str, Any] = {}
    for name, part in schema["properties"].items():
        if name in value and not is_missing(value[name]):
            filled[name] = fill(value[name], part)
        elif "default" in part:
            filled[name] = fill(part["default"], part)
    return filled


def operational(schema: Schema) -> Iterator[str]:
    """Yield the keys that do not change a score."""
    for name, part in schema["properties"].items():
        if part.get("x-operational"):
            yield name
