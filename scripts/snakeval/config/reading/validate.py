"""Checks a value against a schema with jsonschema and words every finding for users."""

import math
import re
from collections.abc import Callable, Iterator
from functools import cache, reduce
from operator import getitem
from typing import Any

from snakeval.config.reading.schema import Schema, is_missing
from snakeval.config.reading.tree import Keys, Node
from snakeval.config.reading.wording import choices, show, type_words
from snakeval.errors import Problem

_GROUP_KEYS: tuple[Keys, ...] = (("deployment",), ("execution",))
_WHAT = {
    "type": "has the wrong type",
    "enum": "is not a known value",
    "const": "is not a known value",
    "minimum": "is too small",
    "exclusiveMinimum": "is too small",
    "maximum": "is too large",
    "exclusiveMaximum": "is too large",
    "minLength": "is empty",
    "minItems": "is empty",
    "pattern": "has the wrong form",
}
Where = Callable[[Keys], str]


def check(value: Any, schema: Schema, where: Where) -> list[Problem]:
    """Return everything that is wrong with `value`.

    Args:
        value: A part of the configuration, defaults not yet filled in.
        schema: Its schema, references resolved.
        where: Words the place of a part, "file: dotted.path".
    """
    errors = list(_validator()(schema.node).iter_errors(value))
    mistyped = {tuple(error.absolute_path) for error in errors if error.validator == "type"}
    told = (e for e in errors if e.validator == "type" or tuple(e.absolute_path) not in mistyped)
    return list(dict.fromkeys(problem for error in told for problem in _problems(error, schema, where)))


@cache
def _validator() -> Any:
    """Return jsonschema's validator, stricter where a configuration needs it."""
    from jsonschema import Draft202012Validator, ValidationError
    from jsonschema.validators import extend

    def type_of_given(validator: Any, types: Any, value: Any, schema: Node) -> Iterator[ValidationError]:
        if is_missing(value):
            yield ValidationError("left to the user")
        else:
            yield from Draft202012Validator.VALIDATORS["type"](validator, types, value, schema)

    def whole_pattern(validator: Any, pattern: str, value: Any, schema: Node) -> Iterator[ValidationError]:
        # JSON Schema's `$` is the very end; Python's also matches before a final newline.
        ending = pattern.removesuffix("$") + r"\Z" if pattern.endswith("$") else pattern
        if isinstance(value, str) and not re.search(ending, value):
            yield ValidationError("does not match")

    # For jsonschema 8.0 is an integer, and nan a number.
    types = Draft202012Validator.TYPE_CHECKER.redefine_many(
        {
            "integer": lambda _, value: isinstance(value, int) and not isinstance(value, bool),
            "number": lambda _, value: (
                isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
            ),
        }
    )
    stricter = {"type": type_of_given, "pattern": whole_pattern}
    return extend(Draft202012Validator, stricter, type_checker=types)  # type: ignore[no-untyped-call]


def _problems(error: Any, root: Schema, where: Where) -> Iterator[Problem]:
    """Word one of jsonschema's errors, whose own text is meant for programmers."""
    keys, schema, value = tuple(error.absolute_path), Schema(error.schema), error.instance
    path = tuple(error.absolute_schema_path)
    parts = schema.properties
    if error.validator == "required":
        for name in error.validator_value:
            if name not in value:
                yield _missing((*keys, name), parts[name], where)
    elif error.validator == "additionalProperties":
        for name in value:
            if name not in parts:
                yield _unknown((*keys, name), value[name], schema, where)
    elif "propertyNames" in path:
        above: Any = reduce(getitem, path[: path.index("propertyNames")], root.node)
        expected = schema.form or "another name"
        yield _problem((*keys, value), "has the wrong name", value, expected, Schema(Node(above)), where)
    elif is_missing(value):
        yield _missing(keys, schema, where)
    else:
        # What stands in a mapping with free names may be a secret that was pasted where its name belongs.
        hidden = "additionalProperties" in path and isinstance(value, str)
        got = f"a text of {len(value)} characters (not shown)" if hidden else ""
        what = _WHAT.get(str(error.validator), "is not allowed")
        hint = _type_hint(value, schema, keys) if error.validator == "type" else ""
        yield _problem(keys, what, value, _expected(error), schema, where, hint, got)


def _expected(error: Any) -> str:
    schema = Schema(error.schema)
    if error.validator in ("enum", "const"):
        allowed = error.validator_value if error.validator == "enum" else [error.validator_value]
        return choices(error.instance, [str(value) for value in allowed if value])
    if error.validator == "minItems":
        return "at least one entry"
    words = type_words(schema.types, schema.bounds) or "another value"
    return (schema.form or words) if error.validator == "pattern" else words


def _type_hint(value: Any, schema: Schema, keys: Keys) -> str:
    if "string" in schema.types and isinstance(value, int | float):
        return f'put it in quotes: "{show(value)}"'
    if isinstance(value, str) and re.fullmatch(r"-?\d+(\.\d+)?", value):
        return f"remove the quotes: {value}"
    if isinstance(value, str) and keys in _GROUP_KEYS:
        return f"choose a file of config/{keys[0]}/ by its name in defaults: [{{{keys[0]}: NAME}}]"
    return ""


def _missing(keys: Keys, schema: Schema, where: Where) -> Problem:
    return _problem(keys, "is missing", None, type_words(schema.types, schema.bounds), schema, where, got="nothing")


def _unknown(keys: Keys, value: Any, schema: Schema, where: Where) -> Problem:
    name = str(keys[-1])
    hint = f"config/README.md lists every key of {schema.title}" if schema.title else "remove it"
    known = choices(name, list(schema.properties))
    # Where only the name of a secret belongs, what else stands there may be the secret.
    got = f"a text of {len(str(value))} characters (not shown)" if schema.is_secret else show(value, name)
    return Problem(where(keys), "is not a known key", got, known, hint)


def _problem(
    keys: Keys, what: str, value: Any, expected: str, schema: Schema, where: Where, hint: str = "", got: str = ""
) -> Problem:
    key = next((str(part) for part in reversed(keys) if isinstance(part, str)), "")
    hint = hint or schema.description or "config/README.md lists every key"
    return Problem(where(keys), what, got or show(value, key), expected, hint)
