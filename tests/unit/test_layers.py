"""The order of the rooms (docs/design.md): imports run downwards and never in a circle, whatever their form."""

import ast
import re
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from importlib.util import resolve_name
from pathlib import Path

import pytest
from snakeval.system.checkout import SCRIPTS

# From the ground up; a module imports its own room and those before it.
ROOMS = ["errors", "endpoint", "system", "run", "config", "deployments", "backends", "gateway", "serving", "harnesses"]
ROOMS += ["results", "evaluation", "workflow", "commands"]
# Folders of programs that run in other environments, in which the package does not exist.
RUNNERS = "snakeval.harnesses.runners.snakeval_runners"
PROGRAMS = (RUNNERS, "snakeval.deployments.programs", "snakeval.results.exports.runners")
# Which of their modules the harnesses import too: they describe the files through which both sides talk.
DESCRIPTIONS = re.compile(rf"{re.escape(RUNNERS)}\.(shared(\.\w+)?|\w+\.request(\.\w+)?)")
# Who calls the package. The executor's plugin is not among them: it is a library that knows nothing of Snakeval.
CALLERS = ("rules", "programs", "dev", "command", "snakemake_logger_plugin_snakeval")
# How tables of backends, harnesses, ... name what they load.
TABLE_ENTRY = re.compile(r"snakeval(\.\w+)+(:\w+)?")
# The one module that imports what a table names: a name that is made while a program runs is seen by no test.
LOADER = "snakeval.system.extensions"

Graph = dict[str, set[str]]


def read_graph(scripts: Path) -> Graph:
    """Return what every module of a package `snakeval` imports: modules of the package, and other top-level names."""
    files = {_module_name(file.relative_to(scripts)): file for file in sorted((scripts / "snakeval").rglob("*.py"))}
    graph: Graph = {}
    for module, file in files.items():
        package = module if file.name == "__init__.py" else module.rpartition(".")[0]
        tree = ast.parse(file.read_text(encoding="utf-8"))
        names = {*_imported_names(tree, package), *(() if _program(module) else _names_in_tables(tree))}
        graph[module] = {_longest_module(name, files) for name in names} - {module}
    return graph


def _module_name(file: Path) -> str:
    return ".".join(file.with_suffix("").parts).removesuffix(".__init__")


def _imported_names(tree: ast.Module, package: str) -> Iterator[str]:
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                yield from (alias.name for alias in names)
            case ast.ImportFrom(module=module, names=names, level=level):
                source = resolve_name("." * level + (module or ""), package)
                yield from (f"{source}.{alias.name}" for alias in names)
            case ast.Call(
                func=ast.Name(id="import_module" | "__import__") | ast.Attribute(attr="import_module"),
                args=[ast.Constant(value=str(name)), *_],
            ):
                yield resolve_name(name, package)


def _names_in_tables(tree: ast.Module) -> Iterator[str]:
    """Yield the modules that texts name; programs have none, and have labels that look like them."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and TABLE_ENTRY.fullmatch(node.value):
            yield node.value.partition(":")[0]


def _longest_module(name: str, modules: dict[str, Path]) -> str:
    """Return the module that a dotted name is or lies in; of another package its first word."""
    while name not in modules and "." in name:
        name = name.rpartition(".")[0]
    return name


def _lies_in(module: str, *packages: str) -> bool:
    return any(module == package or module.startswith(f"{package}.") for package in packages)


def _floor(module: str) -> int:
    parts = module.split(".")
    return ROOMS.index(parts[1]) if len(parts) > 1 else -1


def upward_imports(graph: Graph) -> list[str]:
    """Return every import that the order of the rooms forbids."""
    programs = {_program(module) for module in graph} - {""}
    return sorted(
        f"{module} imports {name}"
        for module, names in graph.items()
        for name in names
        if (_leaves_program(module, name, programs) if _program(module) else _runs_upwards(module, name))
    )


def _runs_upwards(module: str, name: str) -> bool:
    if _lies_in(module, "snakeval.harnesses") and DESCRIPTIONS.fullmatch(name):
        return False
    return name in CALLERS or bool(_program(name)) or (_lies_in(name, "snakeval") and _floor(name) > _floor(module))


def _leaves_program(module: str, name: str, programs: set[str]) -> bool:
    """Tell whether a program imports the package or another program; what runners share is none.

    Runners import each other by relative names alone: their package has two names, one on each side.
    """
    own = _program(module)
    others = {program.rpartition(".")[2] for program in programs - {own} if not _lies_in(program, RUNNERS)}
    others.add(RUNNERS.rpartition(".")[2])
    return name in others or (_lies_in(name, "snakeval") and not _lies_in(name, own, f"{RUNNERS}.shared"))


def _program(module: str) -> str:
    """Return the folder of the program that a module belongs to, as a dotted name; "" for a module of the package."""
    for folder in PROGRAMS:
        if _lies_in(module, folder):
            return ".".join(module.split(".")[: folder.count(".") + 2])
    return ""


def circle(graph: Graph) -> list[str]:
    """Return the modules of one circle of imports, or nothing."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def reach(graph: Graph, room: str) -> set[str]:
    """Return all modules that get loaded by a room, through whatever modules; with a module come its packages."""
    found: set[str] = set()
    pending = [module for module in graph if _lies_in(module, room)]
    while pending:
        module = pending.pop()
        if module not in found:
            found.add(module)
            pending += [*graph.get(module, ()), *filter(None, [module.rpartition(".")[0]])]
    return found


@pytest.fixture(scope="module")
def graph() -> Graph:
    return read_graph(SCRIPTS)


def test_no_import_runs_upwards(graph: Graph) -> None:
    assert len(graph) > 150
    assert upward_imports(graph) == []


def test_nobody_else_imports_by_a_name(graph: Graph) -> None:
    assert [module for module, names in graph.items() if "importlib" in names and not _program(module)] == [LOADER]


def test_no_imports_form_a_circle(graph: Graph) -> None:
    assert circle(graph) == []


@pytest.mark.parametrize(
    ("room", "forbidden"),
    [
        ("snakeval.config", "snakeval.run"),
        ("snakeval.deployments.supervisor", "snakeval.config"),
        ("snakeval.gateway", "snakeval.config"),
        ("snakeval.gateway", "snakeval.backends"),
        ("snakeval.harnesses", "snakeval.backends"),
        ("snakeval.harnesses", "snakeval.serving"),
        ("snakeval.results", "snakeval.serving"),
    ],
)
def test_room_knows_nothing_of_another(graph: Graph, room: str, forbidden: str) -> None:
    assert [module for module in reach(graph, room) if _lies_in(module, forbidden)] == []


def test_descriptions_of_the_runners_files_need_nothing_but_python(graph: Graph) -> None:
    descriptions = [module for module in graph if DESCRIPTIONS.fullmatch(module)]
    assert len(descriptions) > 5
    imported = {name for module in descriptions for name in graph[module]}
    others = {name for name in imported if not _lies_in(name, RUNNERS)}
    assert others <= sys.stdlib_module_names, others


FORMS = {
    "module of a package": "from snakeval.commands import plan",
    "name of a module": "from snakeval.commands.plan import command",
    "room of the package": "from snakeval import commands",
    "relative, of the package": "from .. import commands",
    "relative, of a module": "from ..commands.plan import command as renamed",
    "dotted": "import os, snakeval.commands.plan",
    "inside a function": "def late():\n    from snakeval.commands import plan",
    "for types only": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import snakeval.commands.plan",
    "by name": "import importlib\nimportlib.import_module('snakeval.commands.plan')",
    "by relative name": "from importlib import import_module\nimport_module('..commands.plan', __package__)",
    "by a table of modules": "COMMANDS = {'cloud': 'snakeval.commands.plan'}",
    "by a table": "BACKENDS = {'cloud': 'snakeval.commands.plan:Cloud'}",
    "of a caller": "from snakemake_logger_plugin_snakeval.handler import LogHandler",
    "of a program": "from snakeval.harnesses.runners.snakeval_runners import one",
    "of a program's file": "from snakeval.harnesses.runners.snakeval_runners.one.request import Request",
}


@pytest.fixture
def planted(tmp_path: Path) -> Path:
    """Return a folder with a small package whose only imports are a test's."""
    for module in ("system/files", "commands/plan", "run/paths", "config/load", "deployments/supervisor/family"):
        file = tmp_path / "snakeval" / f"{module}.py"
        file.parent.mkdir(parents=True)
        file.touch()
    programs = [f"harnesses/runners/snakeval_runners/{name}" for name in ("one", "other")]
    for package in ("", "system", "commands", "run", "config", *programs, "deployments/programs/third"):
        (tmp_path / "snakeval" / package).mkdir(parents=True, exist_ok=True)
        (tmp_path / "snakeval" / package / "__init__.py").touch()
    return tmp_path


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS.keys())
def test_upward_import_is_seen_in_every_form(planted: Path, form: str) -> None:
    assert upward_imports(read_graph(planted)) == []
    (planted / "snakeval/system/files.py").write_text(form, encoding="utf-8")
    assert len(upward_imports(read_graph(planted))) == 1


BEYOND = ["from snakeval.system import files", "import third", "from .. import other", "import snakeval_runners.other"]


@pytest.mark.parametrize("form", [*BEYOND, "from ....errors import SnakevalError"])
def test_import_of_a_program_beyond_its_folder_is_seen(planted: Path, form: str) -> None:
    (planted / "snakeval/harnesses/runners/snakeval_runners/one/__init__.py").write_text(form, encoding="utf-8")
    assert len(upward_imports(read_graph(planted))) == 1


def test_circle_within_a_room_is_seen(planted: Path) -> None:
    (planted / "snakeval/run/paths.py").write_text("from . import claims", encoding="utf-8")
    (planted / "snakeval/run/claims.py").write_text("def late():\n    from snakeval.run.paths import RunPaths")
    assert sorted(set(circle(read_graph(planted)))) == ["snakeval.run.claims", "snakeval.run.paths"]


def test_what_a_package_loads_counts_for_its_modules(planted: Path) -> None:
    (planted / "snakeval/deployments/supervisor/family.py").write_text("import snakeval.run.paths")
    (planted / "snakeval/run/__init__.py").write_text("from snakeval.config.load import load")
    assert "snakeval.config.load" in reach(read_graph(planted), "snakeval.deployments.supervisor")
