"""`snakeval tasks`: which harnesses and tasks there are, and what one of them can be told."""

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from snakeval.endpoint import Protocol
from snakeval.errors import Problem, UsageError
from snakeval.system.checkout import ROOT, SCHEMAS

if TYPE_CHECKING:
    from snakeval.commands.tasks.catalogue import HarnessRow, TaskDocument, TaskRow

EPILOG = """examples:
  snakeval tasks                                 the harnesses
  snakeval tasks mmlu_pro                        tasks whose name contains mmlu_pro
  snakeval tasks '*' --harness simple_evals      all tasks of a harness
  snakeval tasks gsm8k --protocol chat --json
  snakeval tasks show simple_evals.gpqa_diamond  one task: settings, defaults, secrets, judge, image

"in its image": the task needs execution.container_runtime. Where "runs" is empty, a task can only be planned. Nothing
is started, and nothing is downloaded.
"""
SHOW = "show"


def register(subparsers: "argparse._SubParsersAction[Any]") -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser("tasks", help="which tasks there are", description=__doc__, epilog=EPILOG)
    parser.add_argument(
        "words", nargs="*", metavar="PATTERN | show TASK", help="part of a name, or one task's full name"
    )
    parser.add_argument("--harness", metavar="NAME", help="only tasks of this harness")
    parser.add_argument(
        "--protocol", choices=[protocol.value for protocol in Protocol], help="only tasks that send this"
    )
    parser.add_argument(
        "--task-dir", action="append", type=Path, default=[], metavar="DIR", help="as evaluation.task_dirs"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=show_tasks)


def show_tasks(arguments: argparse.Namespace) -> int:
    """Print harnesses, tasks, or one task; returns 0, 1 when nothing fits."""
    from snakeval.commands.tasks.catalogue import OWN, Filter, harness_rows, index_of, task_document, task_rows
    from snakeval.config.reading.wording import choices

    index = index_of(ROOT, tuple(arguments.task_dir))
    words = arguments.words
    known = [*OWN, *index.registry.names()]
    if arguments.harness and arguments.harness not in known:
        got, expected = arguments.harness, choices(arguments.harness, known)
        raise UsageError(Problem("--harness", "is not a harness", got, expected, "`snakeval tasks` lists them"))
    if words[:1] == [SHOW] and len(words) == 2:
        document = task_document(index, words[1], SCHEMAS)
        print(json.dumps(msgspec.to_builtins(document), indent=2) if arguments.json else _one(document))
        return 0
    if len(words) > 1 or words == [SHOW]:
        hint = "write `snakeval tasks show harness.task` for one task"
        raise UsageError(Problem("snakeval tasks", "takes one pattern", " ".join(words), "one pattern", hint))
    if not words and not arguments.harness and not arguments.protocol:
        rows = harness_rows(index)
        print(json.dumps([asdict(row) for row in rows], indent=2) if arguments.json else _harnesses(rows))
        return 0
    found = list(task_rows(index, Filter(words[0] if words else None, arguments.harness, arguments.protocol)))
    print(json.dumps([asdict(row) for row in found], indent=2) if arguments.json else _tasks(found))
    return 0 if found else 1


def _harnesses(rows: "list[HarnessRow]") -> str:
    from tabulate import tabulate

    from snakeval.commands.tasks.catalogue import OWN

    columns = {
        "harness": "harness",
        "version": "version",
        "tasks": "tasks",
        "run": "run here",
        "run_in_image": "in image",
        "package": "package",
    }
    total = sum(row.tasks for row in rows if row.harness not in OWN)
    table = tabulate([[getattr(row, column) for column in columns] for row in rows], list(columns.values()))
    said = "`snakeval tasks PATTERN` lists tasks"
    return f"{table}\n\n{total} tasks in {len(rows) - len(OWN)} harnesses beside lm-eval and Inspect; {said}"


def _tasks(rows: "list[TaskRow]") -> str:
    from tabulate import tabulate

    header = ["task", "protocol", "judge", "secrets", "runs"]
    cells = [[row.name, ", ".join(row.protocols), row.judge, ", ".join(row.secrets), _runs(row)] for row in rows]
    return tabulate(cells, header) if rows else "no task fits"


def _runs(row: "TaskRow") -> str | None:
    return f"{row.runs}, in its image" if row.image else row.runs


def _one(document: "TaskDocument") -> str:
    import yaml

    content = json.loads(json.dumps(msgspec.to_builtins(document)))
    shown = {key: value for key, value in content.items() if value not in (None, [], {})}
    return str(yaml.safe_dump(shown, sort_keys=False, allow_unicode=True, width=120)).rstrip("\n")
