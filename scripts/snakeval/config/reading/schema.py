"""The nodes of a JSON Schema, by what configurations need of them, and the defaults that they hold."""

from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Any

from snakeval.config.reading.own_words import Destination, Engine, Place
from snakeval.config.reading.tree import Node

MISSING = "???"  # what NeMo Evaluator Launcher's files write for a value that the user has to give


@dataclass(frozen=True, eq=False)
class Schema:
    """One node of a JSON Schema, references resolved; beside JSON Schema's own words there are ours, `x-...`.

    Attributes:
        node: What jsonschema takes; not to be changed.
    """

    node: Node

    @cached_property
    def properties(self) -> Mapping[str, "Schema"]:
        """The keys of an object."""
        return MappingProxyType({name: Schema(part) for name, part in self.node.get("properties", {}).items()})

    @property
    def items(self) -> "Schema":
        """What the elements of a list are."""
        return Schema(Node(self.node.get("items", {})))

    @property
    def other_keys(self) -> "Schema":
        """What the keys of an object are that are not among its properties."""
        given = self.node.get("additionalProperties")
        return Schema(Node(given if isinstance(given, dict) else {}))

    @property
    def types(self) -> tuple[str, ...]:
        """The JSON types that it allows; empty when it allows all."""
        types = self.node.get("type", ())
        return (types,) if isinstance(types, str) else tuple(types)

    @property
    def choices(self) -> tuple[Any, ...]:
        """The values of an enumeration; empty when it is none."""
        return tuple(self.node.get("enum", ()))

    @property
    def required(self) -> tuple[str, ...]:
        """The keys that an object must have."""
        return tuple(self.node.get("required", ()))

    @property
    def has_default(self) -> bool:
        """Whether there is a default, which may be null."""
        return "default" in self.node

    @property
    def default(self) -> Any:
        """The default, None without one."""
        return self.node.get("default")

    @property
    def title(self) -> str:
        """What messages call it, empty when they do not."""
        return str(self.node.get("title", ""))

    @property
    def description(self) -> str:
        """What users read of it, in one or more sentences."""
        return str(self.node.get("description", ""))

    @property
    def form(self) -> str:
        """What texts have to look like, in words; empty when any will do."""
        return str(self.node.get("x-form", ""))

    @property
    def examples(self) -> tuple[Any, ...]:
        """Values that users may copy."""
        return tuple(self.node.get("examples", ()))

    @property
    def bounds(self) -> str:
        """What numbers are allowed, in signs; empty for all."""
        lower, above, upper = (self.node.get(name) for name in ("minimum", "exclusiveMinimum", "maximum"))
        parts = [f">= {lower}"] if lower is not None else [f"> {above}"] if above is not None else []
        if upper is not None:
            parts.append(f"<= {upper}")
        return " and ".join(parts)

    @property
    def is_operational(self) -> bool:
        """Whether no value of it changes a score."""
        return bool(self.node.get("x-operational"))

    @property
    def is_secret(self) -> bool:
        """Whether what stands here in error may be a secret."""
        return bool(self.node.get("x-secret"))

    @property
    def is_file(self) -> bool:
        """Whether it names a file whose content counts."""
        return bool(self.node.get("x-file"))

    @property
    def mounted_at(self) -> str:
        """Where a container has the folder that it names, empty for what is no such folder."""
        return str(self.node.get("x-mount", ""))

    @property
    def only_with(self) -> Mapping[str, object]:
        """The values that other keys need for this one to mean something."""
        return dict(self.node.get("x-only-with", {}))

    @property
    def task_resource(self) -> str:
        """The resource of Snakemake's executor that it is for tasks, empty for what is none."""
        return str(self.node.get("x-task-resource", ""))

    @property
    def values(self) -> Mapping[str, "Schema"]:
        """The values of an enumeration that has keys of ours for each of them."""
        return {value: Schema(part) for value, part in self.node.get("x-values", {}).items()}

    @property
    def destination(self) -> Destination:
        """What the schema of exports says of a format, a tracker, or a key of a tracker."""
        return Destination(self.node)

    @property
    def place(self) -> Place:
        """What the schema of an execution type says of the place where servers run."""
        return Place(self.node)

    @property
    def engine(self) -> Engine:
        """What the schema of a deployment type says of its servers."""
        return Engine(self.node)


def is_missing(value: Any) -> bool:
    """Return whether a value says that the user still has to give it."""
    return isinstance(value, str) and value == MISSING


def fill(value: Node, schema: Schema) -> Node:
    """Return a copy of an object with defaults filled in, in the order of the schema, at every depth."""
    filled = Node({})
    for name, part in schema.properties.items():
        if name in value and not is_missing(value[name]):
            filled[name] = _filled(value[name], part)
        elif part.has_default:
            filled[name] = _filled(part.default, part)
    return filled


def _filled(value: Any, schema: Schema) -> Any:
    if isinstance(value, Mapping) and "properties" in schema.node:
        return fill(Node(dict(value)), schema)
    return deepcopy(value)


def operational(schema: Schema) -> Iterator[str]:
    """Yield the keys that do not change a score."""
    return (name for name, part in schema.properties.items() if part.is_operational)
