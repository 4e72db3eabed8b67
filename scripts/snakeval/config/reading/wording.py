"""How values and choices are put into words in error messages."""

import difflib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from snakeval.config.secrets import looks_secret

_SHOWN_CHOICES = 8
_MANY_CHOICES = 100
_SHOWN_LENGTH = 80
_TYPE_WORDS = {
    "integer": "a whole number",
    "number": "a number",
    "string": "a text",
    "boolean": "true or false",
    "array": "a list",
    "object": "a mapping",
    "null": "null",
}


def show(value: Any, key: str = "") -> str:
    """Return a value as one short line; the name of its key decides whether a text may be a secret and is not shown."""
    if value is None:
        return "null"
    if isinstance(value, Mapping):
        return "a mapping with the keys " + ", ".join(map(str, value)) if value else "an empty mapping"
    if isinstance(value, list):
        return f"a list of {len(value)}" if value else "an empty list"
    if isinstance(value, str):
        if looks_secret(key):
            return f"a text of {len(value)} characters (not shown)"
        return json.dumps(value[:_SHOWN_LENGTH], ensure_ascii=False) + ("..." if len(value) > _SHOWN_LENGTH else "")
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def nearest(got: str, known: Iterable[str]) -> str | None:
    """Return the known word that `got` is most likely meant to be, or None."""
    by_lower = {word.lower(): word for word in known}
    found = difflib.get_close_matches(got.lower(), by_lower, n=1, cutoff=0.6)
    return by_lower[found[0]] if found else None


def choices(got: Any, known: Sequence[str]) -> str:
    """Return "one of a, b, c, ... (did you mean b?)"; the nearest is always among those shown."""
    if not known:
        return "nothing here"
    close = nearest(str(got), known)
    listed = sorted(known)
    if len(listed) > _MANY_CHOICES:
        similar = difflib.get_close_matches(str(got), listed, n=_SHOWN_CHOICES, cutoff=0.4)
        listed = [*(similar or listed[:_SHOWN_CHOICES]), f"... ({len(listed):,} names)"]
    elif len(listed) > _SHOWN_CHOICES:
        kept = listed[: _SHOWN_CHOICES - 1]
        if close and close not in kept:
            kept = sorted([*kept[:-1], close])
        listed = [*kept, "..."]
    text = listed[0] if len(listed) == 1 else "one of " + ", ".join(listed)
    return f"{text} (did you mean {close}?)" if close else text


def type_words(types: Sequence[str], bounds: str) -> str:
    """Return what a schema allows, e.g. "a whole number >= 1 or null"."""
    limit = f" {bounds}" if bounds else ""
    return " or ".join(_TYPE_WORDS[name] + (limit if name in ("integer", "number") else "") for name in types)


def got_type(value: Any) -> str:
    """Return the JSON type of a value: "integer", "number", "string", ..."""
    if value is None:
        return "null"
    for kinds, name in (
        (bool, "boolean"),
        (int, "integer"),
        (float, "number"),
        (str, "string"),
        (list, "array"),
        (dict, "object"),
    ):
        if isinstance(value, kinds):
            return name
    return type(value).__name__
