"""Secrets by name: how `env_vars` refer to values, and what may be written down."""

import re
from collections.abc import Mapping

from snakeval.errors import ConfigError, Problem

_SECRET_VARIABLE = re.compile(r"KEY|TOKEN|SECRET|PASSWORD", re.IGNORECASE)
_SECRET_KEY = re.compile(r"(key|token|secret|password)(?![a-z])", re.IGNORECASE)


def looks_secret(key: str) -> bool:
    """Return whether a key of the configuration may hold a secret: `api_key` may, `max_new_tokens` may not."""
    return bool(_SECRET_KEY.search(key))


def is_secret_variable(name: str) -> bool:
    """Return whether a variable of the environment holds a secret, by its name."""
    return bool(_SECRET_VARIABLE.search(name))


def host_name(reference: str) -> str | None:
    """Return NAME of "host:NAME", None for every other form."""
    return reference.removeprefix("host:") if reference.startswith("host:") else None


def resolve_env(env_vars: Mapping[str, str], environ: Mapping[str, str]) -> dict[str, str]:
    """Return the values of `env_vars`, to be handed to a process and never written down.

    Args:
        env_vars: name -> "host:NAME" (must be set here), "runtime:NAME" (taken where the process starts, left out when
            it is not set there) or "lit:VALUE".
        environ: The environment of this process.

    Raises:
        ConfigError: a host: variable is not set.
    """
    resolved: dict[str, str] = {}
    problems: list[Problem] = []
    for name, reference in env_vars.items():
        kind, _, value = reference.partition(":")
        if kind == "lit":
            resolved[name] = value
        elif value in environ:
            resolved[name] = environ[value]
        elif kind == "host":
            problems.append(unset(f"env_vars.{name}", value))
    if problems:
        raise ConfigError(problems)
    return resolved


def unset(where: str, variable: str) -> Problem:
    """Return the finding that a variable of this machine is needed and not set."""
    return Problem(
        where=where,
        what="names a variable that is not set",
        got=f"{variable} is not in the environment",
        expected=f"{variable} set where Snakemake is called",
        hint=f"export {variable}=... in the same shell, then repeat the command",
    )


def unusable_key(where: str, variable: str, environ: Mapping[str, str]) -> Problem | None:
    """Return the finding that a variable holds no key that a request can carry; None when it does.

    A header of HTTP holds printable characters of ASCII, and nothing at its ends (RFC 9110, section 5.5). What the
    variable holds is not told.
    """
    if variable not in environ:
        return unset(where, variable)
    key = environ[variable]
    if key and key == key.strip() and key.isascii() and key.isprintable():
        return None
    odd = next((f"character {place}" for place, one in enumerate(key, 1) if _is_odd(one)), "a space at an end")
    got = f"{odd} of {variable} cannot stand in a header of HTTP (not shown)"
    return Problem(
        where=where,
        what="names a variable that holds no usable key" if key else "names a variable that is empty",
        got=got if key else f"{variable} with nothing in it",
        expected="printable characters of ASCII, without a line break",
        hint=f'export {variable}="$(tr -d "\\r\\n" < FILE)" takes line breaks away',
    )


def _is_odd(character: str) -> bool:
    return not (character.isascii() and character.isprintable())


def without_secrets(env_vars: Mapping[str, str]) -> dict[str, str]:
    """Return `env_vars` for config.resolved.yaml: a literal under a secret-looking name becomes "lit:***"."""
    return {
        name: "lit:***" if reference.startswith("lit:") and _SECRET_VARIABLE.search(name) else reference
        for name, reference in env_vars.items()
    }
