"""YAML files read strictly: every key once, text keys, dates left as text, errors with file and line."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from snakeval.config.reading.tree import Node
from snakeval.errors import ConfigError, Problem

try:
    from yaml import CSafeLoader as _SafeLoader
except ImportError:
    from yaml import SafeLoader as _SafeLoader  # type: ignore[assignment]

_TIMESTAMP = "tag:yaml.org,2002:timestamp"
_FLOAT = "tag:yaml.org,2002:float"
_INT = "tag:yaml.org,2002:int"
# Of YAML 1.2: there 1e-7 is a number, and 10:00:00 is none.
_NUMBERS = {
    _INT: re.compile(r"[-+]?(0b[01_]+|0x[0-9a-fA-F_]+|0o?[0-7_]*|[1-9][0-9_]*)$"),
    _FLOAT: re.compile(
        r"([-+]?(\.[0-9]+|[0-9][0-9_]*\.[0-9_]*)([eE][-+]?[0-9]+)?|[-+]?[0-9][0-9_]*[eE][-+]?[0-9]+"
        r"|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN))$"
    ),
}
_MERGE = "tag:yaml.org,2002:merge"


class _StrictLoader(_SafeLoader):
    """Refuses a key that stands twice; `run: 2026-05-01` and `10:00:00` stay text."""

    yaml_implicit_resolvers = {  # noqa: RUF012
        first: [(tag, _NUMBERS.get(tag, pattern)) for tag, pattern in resolvers if tag != _TIMESTAMP]
        for first, resolvers in _SafeLoader.yaml_implicit_resolvers.items()
    }

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if key.tag == _MERGE or not isinstance(key, yaml.ScalarNode):
                continue
            if key.value in seen:
                raise yaml.constructor.ConstructorError(None, None, f"the key {key.value} stands twice", key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)


class _TolerantLoader(_StrictLoader):
    """Also reads tags such as `!function`, which task definitions use, as nothing."""


_TolerantLoader.add_multi_constructor("!", lambda _loader, _suffix, _node: None)


def shown(path: Path) -> str:
    """Return the path as messages show it: relative to the working directory when it lies in it."""
    try:
        return str(path.absolute().relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def read_yaml(path: Path, tags: bool = False) -> Node:
    """Return the mapping that a file holds; an empty file is an empty mapping.

    Args:
        path: The file.
        tags: Whether application tags (`!function`) are allowed; their values read as None.

    Raises:
        ConfigError: the file is missing, is not YAML, has a key twice, or holds something else than a mapping.
    """
    loader = _TolerantLoader if tags else _StrictLoader
    try:
        value = yaml.load(path.read_text(encoding="utf-8"), Loader=loader)
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        hint = "check the path; relative paths start at the working directory"
        raise ConfigError([_problem(shown(path), "cannot be read", str(reason), "a YAML file", hint)]) from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f"{shown(path)}:{mark.line + 1}" if mark else shown(path)
        reason = getattr(error, "problem", None) or "text that YAML does not allow"
        hint = "look at this line and the one above: indentation, a missing colon, an open quote"
        raise ConfigError([_problem(line, "is not valid YAML", reason, "YAML with every key once", hint)]) from None
    if value is None:
        return Node({})
    if not isinstance(value, dict):
        got = "a list" if isinstance(value, list) else "a single value"
        hint = "write `key: value` lines; config/README.md lists the keys"
        raise ConfigError([_problem(shown(path), "does not hold a mapping", got, "a mapping", hint)])
    try:
        return Node(_text_keys(value))
    except RecursionError:
        hint = "remove the alias (`*name`) that points to a mapping which contains it"
        raise ConfigError([_problem(shown(path), "contains itself", "an endless mapping", "a tree", hint)]) from None


def parse_scalar(text: str) -> Any:
    """Return `text` read as one YAML value, or `text` itself when it is not YAML."""
    try:
        return yaml.load(text, Loader=_StrictLoader)
    except yaml.YAMLError:
        return text


def _problem(where: str, what: str, got: str, expected: str, hint: str) -> Problem:
    return Problem(where=where, what=what, got=got, expected=expected, hint=hint)


def _text_keys(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _text_keys(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_text_keys(item) for item in value]
    return value
