"""Writes config/harnesses/inspect_evals.tsv: every task that inspect_evals ships, and whether it needs Docker.

Run it with the Python of the environment inspect_evals after a change of its version:

    python scripts/dev/index_inspect_evals_tasks.py [--check]

Loading a configuration must know which tasks exist; importing all of inspect_evals takes seconds and its environment.
"""

import argparse
import importlib
import inspect
import sys
from collections.abc import Iterator
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import yaml

PACKAGE = "inspect_evals"
TABLE = Path(__file__).resolve().parents[2] / "config" / "harnesses" / "inspect_evals.tsv"


def render_table() -> str:
    """Return the table: a comment with the version, then name and need, separated by a tab, sorted."""
    rows = sorted(f"{name}\t{'docker' if sandboxed else '-'}" for name, sandboxed in _tasks())
    head = f"# inspect_evals {version('inspect_evals')}: name, need; made by scripts/dev/index_inspect_evals_tasks.py"
    return "\n".join([head, *rows]) + "\n"


def _tasks() -> Iterator[tuple[str, bool]]:
    """Yield name and need of what Inspect finds; the package's own lists in eval.yaml lack some."""
    from inspect_ai._util.registry import registry_find, registry_info

    importlib.import_module(f"{PACKAGE}._registry")
    for function in registry_find(lambda info: info.type == "task"):
        owner, _, name = registry_info(function).name.rpartition("/")
        if owner == PACKAGE:
            yield name, _is_sandboxed(Path(inspect.getfile(inspect.unwrap(function))))


def _is_sandboxed(module: Path) -> bool:
    """Return what the eval.yaml says that is nearest to a module."""
    file = next(folder / "eval.yaml" for folder in module.parents if (folder / "eval.yaml").exists())
    content = yaml.safe_load(file.read_text(encoding="utf-8"))
    return bool((content.get("metadata") or {}).get("sandbox"))


def main() -> int:
    """Write the table, or with --check say whether it is up to date; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; fail when the table is not up to date")
    arguments = parser.parse_args()
    if find_spec(PACKAGE) is None:
        print("error: inspect_evals is not installed here; call this with the Python of its environment")
        return 1
    table = render_table()
    if arguments.check:
        return int(not TABLE.exists() or TABLE.read_text(encoding="utf-8") != table)
    TABLE.write_text(table, encoding="utf-8")
    print(f"{table.count(chr(10)) - 1} tasks in {TABLE}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
