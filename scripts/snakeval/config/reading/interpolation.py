"""`${...}` as NeMo Evaluator Launcher's files use it (OmegaConf): variables of the environment, and other keys.

`${NAME}` and `${NAME:-...}`, which are bash's, stay: only names with a dot and resolvers with one are ours.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

from snakeval.config.reading.tree import Keys, Tree
from snakeval.config.reading.wording import show
from snakeval.config.secrets import is_secret_variable
from snakeval.errors import Problem

PORT = "${SNAKEVAL_PORT}"  # What the shell of a server's command finds where no port is fixed.
SECTIONS = ("deployment", "execution", "evaluation", "target", "export", "run", "env_vars")
_DEPTH = 20
_REFERENCE = re.compile(
    rf"\$\{{(?P<name>(?:oc|{'|'.join(SECTIONS)})(?:\.[A-Za-z0-9_-]+)+)(?::(?P<arguments>[^{{}}]*))?\}}"
)
_NOT_NULL = re.compile(r"\$\{select_not_null:(?P<arguments>[^{}]*)\}")
Defaults = Callable[[Keys], Any]


class _Unresolved(Exception):
    """Holds what, got, expected and hint of the problem."""


def interpolate(tree: Tree, environ: Mapping[str, str], default_of: Defaults) -> list[Problem]:
    """Replace every reference in the tree by its value, in place, and return those that have none.

    In `env_vars` a variable of the environment becomes `host:NAME`, so that no secret enters the configuration.

    Args:
        tree: Composed, overridden.
        environ: Variables of this machine.
        default_of: The default of a key that nothing sets, None without one.
    """
    problems: list[Problem] = []
    for keys, value in list(tree.leaves()):
        if not isinstance(value, str) or "${" not in value:
            continue
        try:
            resolved = _Resolver(tree, environ, default_of).value(value, keys)
        except _Unresolved as reason:
            problems.append(Problem(tree.where(keys), *reason.args))
            continue
        if resolved != value:
            tree.put(keys, resolved, tree.origin(keys))
    return problems


class _Resolver:
    def __init__(self, tree: Tree, environ: Mapping[str, str], default_of: Defaults) -> None:
        self._tree = tree
        self._environ = environ
        self._default_of = default_of

    def value(self, text: str, keys: Keys) -> Any:
        """Return `text` with its references replaced, innermost first; a single reference becomes its value."""
        for _ in range(_DEPTH):
            found = _NOT_NULL.search(text) or _REFERENCE.search(text)
            if found is None:
                return text
            value = self._resolved(found, keys)
            if found[0] == text and not isinstance(value, str):
                return value
            text = text.replace(found[0], _text(value))
        raise _Unresolved("refers to itself", show(text), "a value in the end", "break the circle")

    def _resolved(self, reference: re.Match[str], keys: Keys) -> Any:
        arguments = [part.strip() for part in (reference["arguments"] or "").split(",")]
        if reference.re is _NOT_NULL:
            values = (self._key(name, keys, reference[0], needed=False) if "." in name else name for name in arguments)
            return next((value for value in values if value is not None), "")
        if reference["name"] == "oc.env":
            return self._variable(arguments, keys)
        if reference["name"].startswith("oc.") or reference["arguments"] is not None:
            expected = "${oc.env:NAME}, ${oc.env:NAME,default} or ${section.key}"
            raise _Unresolved("uses a resolver that is not supported", show(reference[0]), expected, "write the value")
        return self._key(reference["name"], keys, reference[0])

    def _variable(self, arguments: list[str], keys: Keys) -> str:
        name, default = arguments[0], ",".join(arguments[1:]) if len(arguments) > 1 else None
        value = self._environ.get(name, default)
        if "env_vars" in keys:
            return f"host:{name}" if name in self._environ or default is None else f"lit:{default}"
        if is_secret_variable(name):
            expected = "the name of a variable, in env_vars (host:NAME) or api_key_name"
            hint = "a secret never becomes part of the configuration"
            raise _Unresolved("would hold a secret", show(f"${{oc.env:{name}}}"), expected, hint)
        if value is None:
            hint = f"export {name}=..., or write ${{oc.env:{name},DEFAULT}}"
            got = f"{name} is not in the environment"
            raise _Unresolved("names a variable that is not set", got, "a variable that is set", hint)
        return value

    def _key(self, name: str, at: Keys, text: str, needed: bool = True) -> Any:
        target: Keys = tuple(name.split("."))
        value = self._tree.get(target)
        value = self._default_of(target) if value is None else value
        if value is None and target[-1] == "port" and "command" in at:
            return PORT
        if value is None and needed and target not in {keys for keys, _ in self._tree.leaves()}:
            hint = "references start at the top level, for example ${deployment.served_model_name}"
            raise _Unresolved("refers to a key that has no value", show(text), "a key with a value", hint)
        return value


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else str(value)
