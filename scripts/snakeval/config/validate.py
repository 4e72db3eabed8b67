"""Checks a value against a schema and words every finding for users.

The checker knows the part of JSON Schema 2020-12 that `schemas/` uses. It stands in for the jsonschema package, which
takes longer to import than a whole configuration may take to load; the tests hold the two to the same verdicts.
"""

import math
import re
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any

from snakeval.config.schema import Schema, is_missing, types_of
from snakeval.config.tree import Keys
from snakeval.config.wording import choices, got_type, show, type_words
from snakeval.errors import Problem

_GROUP_KEYS: tuple[Keys, ...] = (("deployment",), ("execution",))
Where = Callable[[Keys], str]


def check(value: Any, schema: Schema, where: Where, keys: Keys = ()) -> list[Problem]:
    """Return everything that is wrong with `value`.

    Args:
        value: A part of the configuration, defaults not yet filled in.
        schema: Its schema, references resolved.
        where: Words the place of a part, "file: dotted.path".
        keys: Where `value` lies, relative to what `where` expects.
    """
    return list(_Check(where).value(value, schema, keys))


class _Check:
    def __init__(self, where: Where) -> None:
        self._where = where

    def value(self, value: Any, schema: Schema, keys: Keys) -> Iterator[Problem]:
        types = types_of(schema)
        if types and not _is_of(value, types):
            yield self._wrong_type(value, schema, types, keys)
            return
        allowed = [schema["const"]] if "const" in schema else schema.get("enum")
        if allowed is not None and value not in allowed:
            yield self._problem(
                keys, "is not a known value", value, choices(value, [str(a) for a in allowed if a]), schema
            )
        elif isinstance(value, str):
            yield from self._text(value, schema, keys)
        elif isinstance(value, list):
            yield from self._list(value, schema, keys)
        elif isinstance(value, dict):
            yield from self._mapping(value, schema, keys)
        elif isinstance(value, int | float) and not isinstance(value, bool):
            yield from self._number(value, schema, keys)

    def _number(self, value: float, schema: Schema, keys: Keys) -> Iterator[Problem]:
        words = type_words(schema, types_of(schema))
        if value < schema.get("minimum", -math.inf) or value <= schema.get("exclusiveMinimum", -math.inf):
            yield self._problem(keys, "is too small", value, words, schema)
        if value > schema.get("maximum", math.inf):
            yield self._problem(keys, "is too large", value, words, schema)

    def _text(self, value: str, schema: Schema, keys: Keys) -> Iterator[Problem]:
        if len(value) < schema.get("minLength", 0):
            yield self._problem(keys, "is empty", value, type_words(schema, types_of(schema)), schema)
        elif "pattern" in schema and not _pattern(schema["pattern"]).search(value):
            yield self._problem(keys, "has the wrong form", value, schema["x-form"], schema)

    def _list(self, value: list[Any], schema: Schema, keys: Keys) -> Iterator[Problem]:
        if len(value) < schema.get("minItems", 0):
            yield self._problem(keys, "is empty", value, "at least one entry", schema)
        for index, item in enumerate(value):
            yield from self.value(item, schema.get("items", {}), (*keys, index))

    def _mapping(self, value: dict[str, Any], schema: Schema, keys: Keys) -> Iterator[Problem]:
        parts = schema.get("properties", {})
        other = schema.get("additionalProperties", True)
        for name in schema.get("required", ()):
            if name not in value:
                yield self._missing((*keys, name), parts[name])
        for name, item in value.items():
            here = (*keys, name)
            if name in parts and is_missing(item):
                yield self._missing(here, parts[name])
            elif name in parts:
                yield from self.value(item, parts[name], here)
            elif other is False:
                hint = f"config/README.md lists every key of {schema['title']}" if "title" in schema else ""
                got = show(item, name)
                yield Problem(
                    self._where(here), "is not a known key", got, choices(name, list(parts)), hint or "remove it"
                )
            elif isinstance(other, Mapping):
                yield from self._entry(name, item, schema, here)

    def _entry(self, name: str, item: Any, schema: Schema, here: Keys) -> Iterator[Problem]:
        names = schema.get("propertyNames", {})
        if "pattern" in names and not _pattern(names["pattern"]).search(name):
            yield self._problem(here, "has the wrong name", name, names["x-form"], schema)
        # What stands in such a mapping may be a secret that was pasted where its name belongs.
        for problem in self.value(item, schema["additionalProperties"], here):
            got = f"a text of {len(item)} characters (not shown)" if isinstance(item, str) else problem.got
            yield Problem(problem.where, problem.what, got, problem.expected, problem.hint)

    def _missing(self, keys: Keys, schema: Schema) -> Problem:
        return self._problem(keys, "is missing", None, type_words(schema, types_of(schema)), schema, got="nothing")

    def _wrong_type(self, value: Any, schema: Schema, types: tuple[str, ...], keys: Keys) -> Problem:
        hint = ""
        if "string" in types and isinstance(value, int | float):
            hint = f'put it in quotes: "{show(value)}"'
        elif isinstance(value, str) and re.fullmatch(r"-?\d+(\.\d+)?", value):
            hint = f"remove the quotes: {value}"
        elif isinstance(value, str) and keys in _GROUP_KEYS:
            hint = f"choose a file of config/{keys[0]}/ by its name in defaults: [{{{keys[0]}: NAME}}]"
        return self._problem(keys, "has the wrong type", value, type_words(schema, types), schema, hint=hint)

    def _problem(
        self, keys: Keys, what: str, value: Any, expected: str, schema: Schema, hint: str = "", got: str = ""
    ) -> Problem:
        key = next((str(part) for part in reversed(keys) if isinstance(part, str)), "")
        hint = hint or schema.get("description", "") or "config/README.md lists every key"
        return Problem(self._where(keys), what, got or show(value, key), expected, hint)


def _is_of(value: Any, types: tuple[str, ...]) -> bool:
    kind = got_type(value)
    if kind == "number" and not math.isfinite(value):
        return False
    return kind in types or (kind == "integer" and "number" in types)


@cache
def _pattern(pattern: str) -> re.Pattern[str]:
    # JSON Schema's `$` is the very end; Python's also matches before a final newline.
    return re.compile(pattern.removesuffix("$") + r"\Z" if pattern.endswith("$") else pattern)
