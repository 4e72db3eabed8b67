"""Names of files in a run's folder: `run/paths.py` and the two beside it alone join them."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from snakeval.run import gateway_paths, harness_paths, paths
from snakeval.system.checkout import SCRIPTS

PLACES = [Path(str(module.__file__)) for module in (paths, harness_paths, gateway_paths)]
EXCEPTIONS = {
    # Configuration does not know of runs; it asks only whether an earlier one has results.
    ("snakeval/config/comparisons.py", "result.json"),
    # A temporary folder, outside of any run.
    ("snakeval/results/exports/runner.py", "request.json"),
    ("snakeval/results/exports/runner.py", "outcome.json"),
}
# What runners write in their own environments lies where their request says.
RUNNERS = "runners"


def _joined(tree: ast.AST) -> Iterator[str]:
    """Yield the names that are joined to a path by `/`, and the last parts of what is searched for."""
    for node in ast.walk(tree):
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):
            yield from _texts(node.right)
        elif isinstance(node, ast.Call) and getattr(node.func, "attr", "") in ("glob", "rglob", "with_name"):
            yield from (text.rpartition("/")[2] for one in node.args for text in _texts(one))


def _texts(node: ast.AST) -> Iterator[str]:
    """Yield a text; of one with variables its end, when that is a name by itself."""
    end = node.values[-1] if isinstance(node, ast.JoinedStr) else node
    if isinstance(end, ast.Constant) and isinstance(end.value, str) and (end is node or "/" in end.value):
        yield end.value


NAMES = frozenset(
    name for place in PLACES for name in _joined(ast.parse(place.read_text(encoding="utf-8"))) if "*" not in name
)


def _offences(module: Path) -> set[tuple[str, str]]:
    tree = ast.parse(module.read_text(encoding="utf-8"))
    where = module.relative_to(SCRIPTS).as_posix() if module.is_relative_to(SCRIPTS) else module.name
    return {(where, name) for name in _joined(tree) if name in NAMES}


def _modules() -> Iterator[Path]:
    for folder in ("snakeval", "rules", "programs"):
        for module in sorted((SCRIPTS / folder).rglob("*.py")):
            if module not in PLACES and RUNNERS not in module.parts:
                yield module


def test_the_names_are_found() -> None:
    assert {"state.json", "lease.json", "session.json", "result.json", "claims", "fingerprint"} <= NAMES


@pytest.mark.parametrize(
    "line", ['x = folder / "state.json"', 'folder.glob("*/lease.json")', 'folder.glob(f"{name}/*/result.json")']
)
def test_a_name_that_is_joined_elsewhere_is_found(tmp_path: Path, line: str) -> None:
    module = tmp_path / "module.py"
    module.write_text(line, encoding="utf-8")
    assert _offences(module)


def test_no_other_module_joins_a_name_of_the_runs_folder() -> None:
    found = {offence for module in _modules() for offence in _offences(module)}
    assert found == EXCEPTIONS
