"""Reads JSON that others have written by the types that are asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TypeGuard


class Fields:
    """A JSON object.

    `value`, `text`, `count`, `number`, `part` and `parts` insist: KeyError for what is missing, TypeError for what is
    of another type. What ends in `_or_none` and `_or_empty` makes nothing of both.
    """

    def __init__(self, content: object) -> None:
        if not isinstance(content, dict):
            raise TypeError(f"{_short(content)} is not a JSON object")
        self._content = {str(name): value for name, value in content.items()}

    def __contains__(self, name: str) -> bool:
        return name in self._content

    @property
    def content(self) -> Mapping[str, object]:
        """The object as it is, for what is only passed on."""
        return self._content

    def names(self) -> list[str]:
        """The names of all fields, in their order."""
        return list(self._content)

    def value(self, name: str) -> object:
        """The value of a field, whatever its type."""
        return self._content[name]

    def value_or_none(self, name: str) -> object:
        """The value of a field, whatever its type; None without one."""
        return self._content.get(name)

    def text(self, name: str) -> str:
        """A text."""
        value = self._content[name]
        if not isinstance(value, str):
            raise TypeError(f"{name}: {_short(value)} is not a text")
        return value

    def count(self, name: str) -> int:
        """A whole number that is not negative."""
        value = self._content[name]
        if not is_count(value) or value < 0:
            raise TypeError(f"{name}: {_short(value)} is not a count")
        return int(value)

    def number(self, name: str) -> float:
        """A number, NaN and infinities included."""
        value = self._content[name]
        if not is_number(value):
            raise TypeError(f"{name}: {_short(value)} is not a number")
        return float(value)

    def part(self, name: str) -> Fields:
        """An object."""
        return Fields(self._content[name])

    def parts(self, name: str) -> list[Fields]:
        """A list of objects."""
        value = self._content[name]
        if not isinstance(value, list):
            raise TypeError(f"{name}: {_short(value)} is not a list")
        return [Fields(item) for item in value]

    def text_or_none(self, name: str) -> str | None:
        """A text."""
        value = self._content.get(name)
        return value if isinstance(value, str) else None

    def count_or_none(self, name: str) -> int | None:
        """A whole number."""
        value = self._content.get(name)
        return value if is_count(value) else None

    def number_or_none(self, name: str) -> float | None:
        """A number."""
        value = self._content.get(name)
        return value if is_number(value) else None

    def part_or_empty(self, name: str) -> Fields:
        """An object."""
        value = self._content.get(name)
        return Fields(value if isinstance(value, dict) else {})

    def list_or_empty(self, name: str) -> list[object]:
        """A list."""
        value = self._content.get(name)
        return list(value) if isinstance(value, list) else []

    def items(self) -> Iterator[tuple[str, Fields]]:
        """Yield the fields of an object whose values are all objects."""
        for name in self.names():
            yield name, self.part(name)


def is_count(value: object) -> TypeGuard[int]:
    """Whether a value is a whole number; JSON has true and false beside 1 and 0."""
    return isinstance(value, int) and not isinstance(value, bool)


def is_number(value: object) -> TypeGuard[int | float]:
    """Whether a value is a number."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def _short(value: object) -> str:
    return repr(value)[:80]
