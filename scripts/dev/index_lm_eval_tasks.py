"""Writes config/harnesses/lm-eval.tsv: every task, group and tag that lm-eval ships, and what its requests are.

Run it with the Python of the lm-eval environment after a change of lm-eval's version:

    python scripts/dev/index_lm_eval_tasks.py [--check]

Loading a configuration must know which tasks exist and which kind of request they send; asking lm-eval takes 7 s and
its environment, this table neither.
"""

import argparse
import re
import sys
from collections.abc import Iterable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from lm_eval.tasks import TaskManager
from lm_eval.tasks._index import Kind

TABLE = Path(__file__).resolve().parents[2] / "config" / "harnesses" / "lm-eval.tsv"
KNOWN = ("generate_until", "loglikelihood", "loglikelihood_rolling", "multiple_choice")
KINDS = {Kind.TASK: "task", Kind.PY_TASK: "task", Kind.GROUP: "group", Kind.TAG: "tag"}
Index = Mapping[str, Any]


def render_table() -> str:
    """Return the table: a comment with the version, then name, kind and output type, separated by tabs, sorted."""
    index = TaskManager().task_index
    rows = [f"{name}\t{KINDS[entry.kind]}\t{output_type(name, index)}" for name, entry in sorted(index.items())]
    head = f"# lm-eval {version('lm_eval')}: name, kind, output_type; made by scripts/dev/index_lm_eval_tasks.py"
    return "\n".join([head, *rows]) + "\n"


def output_type(name: str, index: Index, above: frozenset[str] = frozenset()) -> str:
    """Return the output type of a task, or that of all members of a group or tag, "mixed" when they differ."""
    entry = index.get(name)
    if entry is None or name in above:
        return "unknown"
    if entry.kind is Kind.TAG:
        return _combined(output_type(member, index, above | {name}) for member in entry.tags)
    if entry.kind is Kind.GROUP:
        return _combined(_member_type(member, index, above | {name}) for member in _members(entry.cfg))
    return _own_type(entry.cfg or {})


def _members(config: Mapping[str, Any] | None) -> list[Any]:
    members = (config or {}).get("task", [])
    return list(members) if isinstance(members, list) else [members]


def _member_type(member: Any, index: Index, above: frozenset[str]) -> str:
    """A group names its members or writes them out, with the keys that differ from the task of that name."""
    if isinstance(member, str):
        return output_type(member, index, above)
    if "group" in member:
        return _combined(_member_type(inner, index, above) for inner in _members(member))
    if "output_type" in member or member.get("task") not in index:
        return _own_type(member)
    return output_type(member["task"], index, above)


def _own_type(config: Mapping[str, Any]) -> str:
    if "class" in config:
        return _type_of_class(str(config["class"]))
    # TaskConfig's default.
    kind = config.get("output_type", "generate_until")
    return kind if kind in KNOWN else "unknown"


def _type_of_class(path: str) -> str:
    """Tasks written in Python name their requests in the code; `path` is file.Class. Loading them needs their data."""
    file, _, _ = path.rpartition(".")
    source = Path(f"{file}.py")
    text = source.read_text(encoding="utf-8") if source.is_file() else ""
    used = {kind for kind in KNOWN if re.search(rf"""["']{kind}["']""", text)}
    used |= {"multiple_choice"} if "MultipleChoiceTask" in text else set()
    used |= {"loglikelihood_rolling"} if "PerplexityTask" in text else set()
    return _combined(used)


def _combined(kinds: Iterable[str]) -> str:
    found = set(kinds)
    return found.pop() if len(found) == 1 else ("mixed" if found else "unknown")


def main() -> int:
    """Write the table, or compare it; returns the exit status."""
    parser = argparse.ArgumentParser(description="List the tasks that lm-eval ships")
    parser.add_argument("--check", action="store_true", help="only compare, end with 1 when the table is out of date")
    arguments = parser.parse_args()
    table = render_table()
    if arguments.check:
        fresh = TABLE.exists() and TABLE.read_text(encoding="utf-8") == table
        print(f"{TABLE.name} is {'up to date' if fresh else 'out of date: run scripts/dev/index_lm_eval_tasks.py'}")
        return 0 if fresh else 1
    TABLE.parent.mkdir(parents=True, exist_ok=True)
    TABLE.write_text(table, encoding="utf-8")
    print(f"{TABLE.name}: {table.count(chr(10)) - 1} names")
    return 0


if __name__ == "__main__":
    sys.exit(main())
