"""Check that everything that was added is complete: backends, harnesses, formats, deployment types, subcommands.

What is wrong is also told when it is used; this tells it before. CONTRIBUTING.md, "Adding things", has the files.
"""

import sys
from collections.abc import Callable, Collection, Iterator
from functools import partial
from pathlib import Path

from snakeval.backends import BACKENDS, load_parts
from snakeval.commands import make_parser
from snakeval.config.reading.schema_files import Schemas
from snakeval.config.tasks.registry import Registry
from snakeval.deployments.types import deployment_type
from snakeval.errors import ConfigError, ExtensionError, Problem
from snakeval.harnesses import HARNESSES, harness_of
from snakeval.results.exports import formats
from snakeval.results.exports.programs import format_problems
from snakeval.system.checkout import ROOT

HINT = "CONTRIBUTING.md, Adding things, has every file that belongs to an addition"


def problems(root: Path) -> list[Problem]:
    """Return every finding: of the tables of this package, and of the files in the checkout `root`."""
    found = [
        *_backends(root),
        *_deployment_types(root),
        *_registry(root),
        *(problem for name in HARNESSES for problem in _told(partial(harness_of, name))),
        *(problem for name in formats() for problem in format_problems(name)),
        *_told(make_parser),
    ]
    return list(dict.fromkeys(found))


def _backends(root: Path) -> Iterator[Problem]:
    types = Schemas(root / "schemas").types("execution")
    for name in BACKENDS:
        yield from _told(partial(load_parts, name))
        for file in (f"schemas/execution/{name}.schema.yaml", f"config/execution/{name}.yaml"):
            yield from _absent(root, f"backend {name}", file)
        yield from _absent(root, f"backend {name}", f"profiles/{name}/config.yaml")
    yield from _without(types, BACKENDS, "schemas/execution/{}.schema.yaml", "scripts/snakeval/backends/__init__.py")


def _deployment_types(root: Path) -> Iterator[Problem]:
    types = Schemas(root / "schemas").types("deployment")
    for name in types:
        yield from _absent(root, f"deployment type {name}", f"config/deployment/{name}.yaml")
        if deployment_type(name).has_server:
            yield from _absent(root, f"deployment type {name}", f"scripts/templates/launch/{name}.sh.j2")
    folder = root / "scripts" / "templates" / "launch"
    templates = sorted(path.name.removesuffix(".sh.j2") for path in folder.glob("*.sh.j2"))
    yield from _without(templates, types, "scripts/templates/launch/{}.sh.j2", "schemas/deployment/")


def _registry(root: Path) -> Iterator[Problem]:
    registry = Registry(root / "config" / "harnesses")
    for name in registry.names():
        try:
            harness = registry.harness(name)
        except ConfigError as error:
            yield from error.problems
        else:
            if harness and harness.module not in HARNESSES:
                where = f"config/harnesses/{name}.yaml: module"
                yield Problem(where, "is not in the table", harness.module, ", ".join(HARNESSES), HINT)


def _absent(root: Path, where: str, file: str) -> Iterator[Problem]:
    if not (root / file).is_file():
        yield Problem(where, "lacks a file", "nothing", file, HINT)


def _without(names: Collection[str], known: Collection[str], file: str, table: str) -> Iterator[Problem]:
    for name in names:
        if name not in known:
            yield Problem(file.format(name), "belongs to nothing", name, f"an entry of {table}", HINT)


def _told(load: Callable[[], object]) -> Iterator[Problem]:
    try:
        load()
    except ExtensionError as error:
        yield error.problem


if __name__ == "__main__":
    complaints = problems(ROOT)
    if complaints:
        print("\n\n".join(map(str, complaints)), file=sys.stderr)
    sys.exit(bool(complaints))
