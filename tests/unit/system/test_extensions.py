"""What a table names and is wrong or incomplete is told in the form of all errors."""

from pathlib import Path
from typing import Protocol

import pytest
from snakeval.errors import ExtensionError
from snakeval.system.extensions import load_class, load_function, load_module


class Contract(Protocol):
    """Two methods."""

    def begin(self) -> None:
        """Begin."""

    def end(self, how: str) -> int:
        """End."""


class Complete:
    """As the contract says, and more."""

    def begin(self) -> None:
        """Begin."""

    def end(self, how: str, hard: bool = False) -> int:
        """End."""
        return 0


class Short:
    """Cannot end."""

    def begin(self) -> None:
        """Begin."""


class Other(Short):
    """Ends without being told how."""

    def end(self) -> int:
        """End."""
        return 0


def takes_one(one: str) -> str:
    """Return it."""
    return one


def test_what_is_complete_is_loaded() -> None:
    assert load_class(f"{__name__}:Complete", "table: x", Contract) is Complete
    assert load_function(f"{__name__}:takes_one", "table: x", takes_one) is takes_one


@pytest.mark.parametrize(
    ("reference", "lines"),
    [
        ("snakeval.nowhere:X", ["table: x names a module that is not there", "expected: scripts/snakeval/nowhere.py"]),
        (f"{__name__}:X", ["table: x names what its module does not have", "expected: X"]),
        ("snakeval.errors", ["table: x is no reference", "got:      snakeval.errors", "expected: module:name"]),
        ("snakeval.errors:", ["table: x is no reference", "got:      snakeval.errors:", "expected: module:name"]),
        (
            f"{__name__}:Short",
            [
                "table: x names a class without a method of its contract",
                "Short without end",
                "expected: end(self, how)",
            ],
        ),
        (
            f"{__name__}:Other",
            [
                "a method that takes other arguments",
                "Other.end(self)",
                "expected: end(self, how)",
                "hint:     Contract in",
            ],
        ),
    ],
)
def test_a_class_that_does_not_do_is_told(reference: str, lines: list[str]) -> None:
    with pytest.raises(ExtensionError) as caught:
        load_class(reference, "table: x", Contract)
    for line in lines:
        assert line in str(caught.value)


@pytest.mark.parametrize("reference", ["snakeval:__version__", f"{__name__}:test_what_is_complete_is_loaded"])
def test_a_function_that_does_not_do_is_told(reference: str) -> None:
    with pytest.raises(ExtensionError, match="table: x names no function that takes the arguments of its contract"):
        load_function(reference, "table: x", takes_one)


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("needs_more", "import no_such_package", "ModuleNotFoundError: No module named 'no_such_package'"),
        ("half_written", "def begin(", "SyntaxError: '\\(' was never closed"),
        ("mistaken", "begin", "NameError: name 'begin' is not defined"),
    ],
)
def test_a_module_that_cannot_be_imported_is_told_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, text: str, reason: str
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / f"{name}.py").write_text(f"{text}\n", encoding="utf-8")
    with pytest.raises(ExtensionError, match=rf"cannot be imported\n.*{name}: {reason}"):
        load_module(name, "table: x")
