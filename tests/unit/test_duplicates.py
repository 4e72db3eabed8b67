"""Six lines of code in a row stand in one place of the package only; imports, comments and docstrings are no code."""

import ast
import io
import tokenize
from collections import defaultdict
from collections.abc import Iterator, Mapping

import pytest
from snakeval.system.checkout import SCRIPTS

PACKAGE = SCRIPTS / "snakeval"
IN_A_ROW = 6

Place = tuple[str, int]


def code_lines(text: str) -> list[tuple[int, str]]:
    """Return number and text of the lines of code, without indentation and comments."""
    left_out = {number for node in ast.walk(ast.parse(text)) for number in _left_out(node)}
    lines = text.splitlines()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            row, column = token.start
            lines[row - 1] = lines[row - 1][:column]
    numbered = ((number, line.strip()) for number, line in enumerate(lines, 1))
    return [(number, line) for number, line in numbered if line and number not in left_out]


def _left_out(node: ast.AST) -> Iterator[int]:
    """Yield the lines of an import, or of a text that stands by itself."""
    is_text = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
    if is_text or isinstance(node, ast.Import | ast.ImportFrom):
        assert isinstance(node, ast.stmt)
        yield from range(node.lineno, (node.end_lineno or node.lineno) + 1)


def duplicates(texts: Mapping[str, str]) -> list[tuple[Place, Place]]:
    """Return where so many lines in a row stand that stand at an earlier place too; one pair for each stretch."""
    places: dict[tuple[str, ...], Place] = {}
    found: list[tuple[Place, Place]] = []
    ended: dict[str, int] = defaultdict(int)
    for name, text in texts.items():
        lines = code_lines(text)
        for start in range(len(lines) - IN_A_ROW + 1):
            window = tuple(line for _, line in lines[start : start + IN_A_ROW])
            first = places.setdefault(window, (name, lines[start][0]))
            if first != (name, lines[start][0]):
                if start >= ended[name]:
                    found.append((first, (name, lines[start][0])))
                ended[name] = start + IN_A_ROW
    return found


BLOCK = "\n".join(f"x{number} = {number}" for number in range(IN_A_ROW))


@pytest.mark.parametrize(
    ("second", "is_one"),
    [
        (BLOCK, True),
        ("def f():\n" + "\n\n".join(f"    {line}  # why" for line in BLOCK.splitlines()), True),
        (BLOCK.replace("x3 = 3", 'x3 = 3\n"""Docs."""\nimport os'), True),
        (BLOCK.replace("x3 = 3", "x3 = 4"), False),
        (BLOCK.partition("\n")[2], False),
    ],
)
def test_a_planted_pair_is_found(second: str, is_one: bool) -> None:
    found = duplicates({"a": f"import sys\n{BLOCK}\n", "b": f"{second}\n"})
    assert [one for one, _ in found] == ([("a", 2)] if is_one else [])


def test_a_pair_in_one_file_is_found_once() -> None:
    assert duplicates({"a": f"{BLOCK}\ny = 1\n{BLOCK}\n"}) == [(("a", 1), ("a", IN_A_ROW + 2))]
    assert len(duplicates({"a": f"{BLOCK}\nz = 1\n", "b": f"{BLOCK}\nz = 1\n"})) == 1


def test_nothing_stands_twice_in_the_package() -> None:
    files = sorted(PACKAGE.rglob("*.py"))
    assert len(files) > 100
    texts = {file.relative_to(PACKAGE).as_posix(): file.read_text(encoding="utf-8") for file in files}
    found = [f"{name}:{line} ~ {other}:{row}" for (name, line), (other, row) in duplicates(texts)]
    assert not found, "\n".join(found)
