"""Files and functions stay small enough to be read at once."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from snakeval.system.checkout import SCRIPTS

LINES_OF_FILE = 300
LINES_OF_FUNCTION = 50


def too_long(name: str, text: str) -> Iterator[str]:
    """Yield the file, and the functions in it, that have too many lines; decorators are not counted."""
    if (lines := len(text.splitlines())) > LINES_OF_FILE:
        yield f"{name}: {lines} lines"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if lines > LINES_OF_FUNCTION:
                yield f"{name}:{node.lineno}: {node.name} has {lines} lines"


def _function(lines: int) -> str:
    return "def f():\n" + "    pass\n" * (lines - 1)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("x = 1\n" * LINES_OF_FILE, []),
        ("x = 1\n" * (LINES_OF_FILE + 1), ["m.py: 301 lines"]),
        (_function(LINES_OF_FUNCTION), []),
        ("class A:\n    async " + _function(51).replace("\n", "\n    "), ["m.py:2: f has 51 lines"]),
    ],
)
def test_what_is_too_long_is_found(text: str, found: list[str]) -> None:
    assert list(too_long("m.py", text)) == found


def test_no_file_and_no_function_is_too_long() -> None:
    files = [file for file in sorted(SCRIPTS.rglob("*.py")) if not _is_built(file)]
    assert len(files) > 100
    found = [line for file in files for line in too_long(str(file), file.read_text(encoding="utf-8"))]
    assert not found, "\n".join(found)


def _is_built(file: Path) -> bool:
    return "build" in file.relative_to(SCRIPTS).parts
