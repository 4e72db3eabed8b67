"""`env_vars` in the launcher's older spellings: a bare name of a variable of this machine, and plain values."""

import re
from collections.abc import Iterator

from snakeval.config.reading.tree import Keys, Tree
from snakeval.config.secrets import is_secret_variable

_NAME = re.compile(r"[A-Z_][A-Z0-9_]*")
_PLAIN = re.compile(r"[0-9][0-9.]*|true|false|True|False", re.ASCII)


def translate_variables(tree: Tree) -> None:
    """Write bare names as `host:NAME` and plain numbers as `lit:VALUE`; everything else is left to the schema."""
    _unnest(tree)
    for place in _places(tree):
        variables = tree.get(place)
        for name, value in list(variables.items()) if isinstance(variables, dict) else ():
            form = _form(str(name), value)
            if form:
                tree.put((*place, name), form, tree.origin((*place, name)))


def _form(name: str, value: object) -> str | None:
    if isinstance(value, bool):
        return f"lit:{str(value).lower()}"
    if isinstance(value, int | float):
        return f"lit:{value}"
    if not isinstance(value, str):
        return None
    if _NAME.fullmatch(value):
        return f"host:{value}"
    return f"lit:{value}" if _PLAIN.fullmatch(value) and not is_secret_variable(name) else None


def _unnest(tree: Tree) -> None:
    """Move `execution.env_vars.{deployment,evaluation}` to where these are."""
    here: Keys = ("execution", "env_vars")
    for part in ("deployment", "evaluation"):
        variables = tree.get((*here, part))
        if not isinstance(variables, dict):
            continue
        for name in list(variables):
            if tree.get((part, "env_vars", name)) is None:
                tree.move((*here, part, name), (part, "env_vars", name))
        tree.remove((*here, part))


def _places(tree: Tree) -> Iterator[Keys]:
    yield ("env_vars",)
    for part in ("execution", "deployment", "evaluation"):
        yield (part, "env_vars")
    for list_of in (("deployments",), ("evaluation", "tasks")):
        items = tree.get(list_of)
        for index, item in enumerate(items if isinstance(items, list) else ()):
            if isinstance(item, dict):
                yield (*list_of, index, "env_vars")
