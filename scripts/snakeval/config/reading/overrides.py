"""`--config` overrides: dotted or nested keys, list elements by name, text read as the schema's type."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from snakeval.config.reading.schema import Schema
from snakeval.config.reading.tree import COMMAND_LINE, Keys, Tree, element_name
from snakeval.config.reading.wording import choices, got_type
from snakeval.config.reading.yamlfile import parse_scalar
from snakeval.errors import Problem

# What `--config` gave: dotted keys and nested mappings, as Snakemake parses them.
Overrides = Mapping[str, object]
_NULLS = ("null", "None", "~", "")


def apply_overrides(tree: Tree, overrides: Overrides) -> list[Problem]:
    """Put overrides over the tree and return what is wrong with their keys.

    Args:
        tree: Changed in place.
        overrides: Nested mappings and dotted keys, in any mixture.
    """
    problems: list[Problem] = []
    for segments, value in _flat(overrides):
        keys = _locate(tree, segments)
        if isinstance(keys, Problem):
            problems.append(keys)
        elif not (value == {} and isinstance(tree.get(keys), dict)):
            tree.put(keys, value, COMMAND_LINE)
    return problems


def _flat(value: Overrides, before: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    for key, item in value.items():
        segments = (*before, *str(key).split("."))
        if isinstance(item, Mapping) and item:
            yield from _flat(item, segments)
        else:
            yield segments, item


def _locate(tree: Tree, segments: tuple[str, ...]) -> Keys | Problem:
    keys: Keys = ()
    rest = segments
    while rest:
        node = tree.get(keys)
        if not isinstance(node, list):
            keys, rest = (*keys, rest[0]), rest[1:]
            continue
        found = _element(node, rest)
        if found is None:
            names = [element_name(item) or str(index) for index, item in enumerate(node)]
            return Problem(
                where=f"{COMMAND_LINE}: {'.'.join(segments)}",
                what=f"names no element of {'.'.join(map(str, keys))}",
                got=".".join(rest),
                expected=choices(rest[0], names),
                hint="name an element by its name or by its index from 0; add elements in a configfile",
            )
        index, used = found
        keys, rest = (*keys, index), rest[used:]
    return keys


def _element(items: list[Any], segments: tuple[str, ...]) -> tuple[int, int] | None:
    # Names may contain dots ("lm-eval.gsm8k"): the longest name that fits wins.
    names = {name: index for index, item in reversed(list(enumerate(items))) if (name := element_name(item))}
    for used in range(len(segments), 0, -1):
        index = names.get(".".join(segments[:used]))
        if index is not None:
            return index, used
    if segments[0].isdecimal() and int(segments[0]) < len(items):
        return int(segments[0]), 1
    return None


def coerced(value: Any, schema: Schema, overridden: Callable[[Keys], bool], keys: Keys = ()) -> Any:
    """Return `value` with the overridden parts read as the types that the schema wants.

    Snakemake reads `--config a='{b: 5}'` with every nested value as text, and `--config a=5` as a number.

    Args:
        value: A part of the configuration.
        schema: Its schema.
        overridden: Whether the part at these keys was given on the command line.
        keys: Where `value` lies.
    """
    if overridden(keys) and not isinstance(value, dict | list):
        value = _converted(value, schema.types)
    if isinstance(value, dict):
        parts, other = schema.properties, schema.other_keys
        return {key: coerced(item, parts.get(key, other), overridden, (*keys, key)) for key, item in value.items()}
    if isinstance(value, list):
        return [coerced(item, schema.items, overridden, (*keys, index)) for index, item in enumerate(value)]
    return value


def _converted(value: Any, types: tuple[str, ...]) -> Any:
    if isinstance(value, int) and not isinstance(value, bool) and "string" in types and "integer" not in types:
        return str(value)
    if not isinstance(value, str) or not types:
        return value
    if "null" in types and value in _NULLS:
        return None
    if "string" in types and not ("array" in types and value.startswith("[")):
        return value
    parsed = parse_scalar(value)
    if "number" in types and isinstance(parsed, str):
        try:
            parsed = float(parsed)  # YAML 1.1 reads "1e-3" as text
        except ValueError:
            return value
    kind = got_type(parsed)
    return parsed if kind in types or (kind == "integer" and "number" in types) else value
