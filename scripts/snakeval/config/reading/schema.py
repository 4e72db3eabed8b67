"""The nodes of a JSON Schema, by what configurations need of them, and the defaults that they hold."""

from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Any

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
    def destination(self) -> "Destination":
        """What the schema of exports says of a format, a tracker, or a key of a tracker."""
        return Destination(self.node)

    @property
    def place(self) -> "Place":
        """What the schema of an execution type says of the place where servers run."""
        return Place(self.node)

    @property
    def engine(self) -> "Engine":
        """What the schema of a deployment type says of its servers."""
        return Engine(self.node)


@dataclass(frozen=True)
class FailureHint:
    """What to do when a server's log has a text.

    Attributes:
        when: A regular expression, upper and lower case alike.
        hint: A sentence for users.
    """

    when: str
    hint: str


@dataclass(frozen=True, eq=False)
class Engine:
    """What a deployment type's schema says of its servers in words of ours."""

    node: Node

    @property
    def has_server(self) -> bool:
        """Whether there is something to start."""
        return bool(self.node.get("x-has-server", True))

    @property
    def is_multi_node(self) -> bool:
        """Whether a server may use several nodes."""
        return bool(self.node.get("x-multi-node"))

    @property
    def refuses_unknown_keys(self) -> bool:
        """Whether requests may hold nothing but what the engine knows."""
        return bool(self.node.get("x-refuses-unknown-keys"))

    @property
    def environment(self) -> str | None:
        """The family of `envs/` that servers always run in, None when there is a choice or none is needed."""
        return self.node.get("x-environment")

    @property
    def health_path(self) -> str | None:
        """The path that answers 200 once the model is loaded, None when a deployment says which."""
        return self.node.get("x-health-path")

    @property
    def base_path(self) -> str:
        """Where the OpenAI-compatible API begins."""
        return str(self.node.get("x-base-path", "/v1"))

    @property
    def checks_api_key(self) -> bool:
        """Whether servers refuse requests without their key."""
        return bool(self.node.get("x-checks-api-key"))

    @property
    def failure_hints(self) -> tuple[FailureHint, ...]:
        """What logs of servers that did not start may hold."""
        return tuple(FailureHint(known["when"], known["hint"]) for known in self.node.get("x-failure-hints", ()))

    @property
    def protocols(self) -> tuple[str, ...]:
        """The kinds of request that servers answer, unless the deployment has `protocols`."""
        return tuple(self.node.get("x-protocols", ()))

    @property
    def protocols_note(self) -> str | None:
        """Why log-likelihoods are not among them."""
        return self.node.get("x-protocols-note")

    @property
    def one_of(self) -> tuple[str, ...]:
        """Keys of which exactly one is to be given."""
        return tuple(self.node.get("x-one-of", ()))

    @property
    def names_model_by(self) -> tuple[str, ...]:
        """Keys that the served model is named after, the first that is set."""
        return tuple(self.node.get("x-served-model-name-from", ()))

    @property
    def reserved_arguments(self) -> Mapping[str, str]:
        """Option of the engine that Snakeval sets itself -> what to use instead."""
        return dict(self.node.get("x-reserved-args", {}))


@dataclass(frozen=True, eq=False)
class Place:
    """What an execution type's schema says of the place where servers run in words of ours."""

    node: Node

    @property
    def is_this_machine(self) -> bool:
        """Whether that is the machine on which Snakemake runs."""
        return bool(self.node.get("x-on-this-machine"))

    @property
    def has_own_variables(self) -> bool:
        """Whether servers inherit nothing from this machine, so that its variables say nothing of theirs."""
        return bool(self.node.get("x-variables-elsewhere"))

    @property
    def rules(self) -> str | None:
        """The function with rules of this type alone, `module:function`, None without one."""
        return self.node.get("x-rules")


@dataclass(frozen=True, eq=False)
class Destination:
    """What the schema of exports says of where results go in words of ours."""

    node: Node

    @property
    def writer(self) -> str | None:
        """The function that writes a format, `module:function`."""
        return self.node.get("x-writer")

    @property
    def sender(self) -> str | None:
        """The function that sends results to a tracker, `module:function`."""
        return self.node.get("x-sender")

    @property
    def environment(self) -> str | None:
        """The family of `envs/` that it runs in, None where it needs none."""
        return self.node.get("x-environment")

    @property
    def address(self) -> str:
        """Of what a key is the address, empty for a key that is none."""
        return str(self.node.get("x-address", ""))

    @property
    def else_variable(self) -> str | None:
        """The variable that has to be there when the key is null, None without one."""
        return self.node.get("x-else-variable")


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
