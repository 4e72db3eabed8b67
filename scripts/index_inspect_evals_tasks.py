"""Writes config/harnesses/inspect_evals.tsv: every task that inspect_evals ships, and whether it needs Docker.

Run it with the Python of the environment inspect_evals after a change of its version:

    python scripts/index_inspect_evals_tasks.py [--check]

Loading a configuration must know which tasks exist; importing all of inspect_evals takes seconds and its environment.
"""

import argparse
import sys
from collections.abc import Iterator
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import yaml

TABLE = Path(__file__).resolve().parents[1] / "config" / "harnesses" / "inspect_evals.tsv"


def render_table(package: Path) -> str:
    """Return the table: a comment with the version, then name and need, separated by a tab, sorted."""
    rows = sorted(f"{name}\t{'docker' if sandboxed else '-'}" for name, sandboxed in _tasks(package))
    head = f"# inspect_evals {version('inspect_evals')}: name, need; made by scripts/index_inspect_evals_tasks.py"
    return "\n".join([head, *rows]) + "\n"


def _tasks(package: Path) -> Iterator[tuple[str, bool]]:
    for file in sorted(package.glob("*/eval.yaml")) + sorted(package.glob("*/*/eval.yaml")):
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
        sandboxed = bool((content.get("metadata") or {}).get("sandbox"))
        for task in content.get("tasks") or []:
            yield task["name"], sandboxed


def main() -> int:
    """Write the table, or with --check say whether it is up to date; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; fail when the table is not up to date")
    arguments = parser.parse_args()
    spec = find_spec("inspect_evals")
    if spec is None or spec.origin is None:
        print("error: inspect_evals is not installed here; call this with the Python of its environment")
        return 1
    table = render_table(Path(spec.origin).parent)
    if arguments.check:
        return int(not TABLE.exists() or TABLE.read_text(encoding="utf-8") != table)
    TABLE.write_text(table, encoding="utf-8")
    print(f"{table.count(chr(10)) - 1} tasks in {TABLE}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
