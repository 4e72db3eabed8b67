"""Loads what a table names as `module:name`: a backend, a harness, the writer of a format, a subcommand."""

import importlib
import inspect
import re
from collections.abc import Callable
from types import ModuleType
from typing import Any

from snakeval.errors import ExtensionError, Problem


def load_class(reference: str, where: str, contract: type) -> Any:
    """Return a class that has every attribute and every method of a contract.

    Args:
        reference: `module:Class`.
        where: The table and the entry in it, for messages.
        contract: A `Protocol`.

    Raises:
        ExtensionError: it is not there, or something is missing or takes other arguments.
    """
    found = _load(reference, where)
    for name, method in _methods(contract).items():
        own = getattr(found, name, None)
        expected = _signature(method)
        if not callable(own):
            what = "names a class without a method of its contract"
            raise _error(where, what, f"{reference} without {name}", f"{name}{expected}", contract)
        if not _takes(own, len(expected.parameters)):
            what = "names a class with a method that takes other arguments than its contract says"
            raise _error(where, what, f"{reference}.{name}{_signature(own)}", f"{name}{expected}", contract)
    for name in getattr(contract, "__annotations__", {}):
        if not hasattr(found, name):
            what = "names a class without an attribute of its contract"
            raise _error(where, what, f"{reference} without {name}", name, contract)
    return found


def load_function(reference: str, where: str, contract: Callable[..., Any]) -> Any:
    """Return a function that can be called as a contract says.

    Args:
        reference: `module:function`.
        where: The table and the entry in it, for messages.
        contract: A function, whose arguments count.

    Raises:
        ExtensionError: it is not there, or takes other arguments.
    """
    found, expected = _load(reference, where), _signature(contract)
    if not callable(found) or not _takes(found, len(expected.parameters)):
        got = f"{reference}{_signature(found) if callable(found) else ''}"
        raise _error(where, "names no function that takes the arguments of its contract", got, str(expected), contract)
    return found


def load_module(name: str, where: str) -> ModuleType:
    """Return a module.

    Raises:
        ExtensionError: it is not there, or cannot be imported.
    """
    try:
        return importlib.import_module(name)
    except Exception as error:
        missing = isinstance(error, ModuleNotFoundError) and error.name and f"{name}.".startswith(f"{error.name}.")
        what = "names a module that is not there" if missing else "names a module that cannot be imported"
        got = name if missing else f"{name}: {type(error).__name__}: {error}"
        hint = "CONTRIBUTING.md, Adding things, has every file that belongs to an addition"
        raise ExtensionError(Problem(where, what, got, f"scripts/{name.replace('.', '/')}.py", hint)) from error


def _load(reference: str, where: str) -> Any:
    module, _, name = reference.partition(":")
    if not re.fullmatch(r"\w+(\.\w+)*:\w+", reference):
        hint = "write the module and the name in it, for example snakeval.backends.local:LocalBackend"
        raise ExtensionError(Problem(where, "is no reference", reference, "module:name", hint))
    found = load_module(module, where)
    if not hasattr(found, name):
        hint = f"define {name} there, or correct the name in the table"
        raise ExtensionError(Problem(where, "names what its module does not have", reference, name, hint))
    return getattr(found, name)


def _methods(contract: type) -> dict[str, Callable[..., Any]]:
    return {name: one for name, one in vars(contract).items() if inspect.isfunction(one) and not name.startswith("_")}


def _signature(function: Callable[..., Any]) -> inspect.Signature:
    """Return the arguments' names alone."""
    found = inspect.signature(function)
    plain = [one.replace(annotation=inspect.Parameter.empty) for one in found.parameters.values()]
    return found.replace(parameters=plain, return_annotation=inspect.Signature.empty)


def _takes(function: Callable[..., Any], arguments: int) -> bool:
    try:
        inspect.signature(function).bind(*[None] * arguments)
    except TypeError:
        return False
    return True


def _error(where: str, what: str, got: str, expected: str, contract: Any) -> ExtensionError:
    file = f"scripts/{contract.__module__.replace('.', '/')}"
    return ExtensionError(Problem(where, what, got, expected, f"{contract.__qualname__} in {file} is the contract"))
