"""Collects the results of a run into tables and the leaderboard; what is missing is shown as missing."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tabulate import tabulate

from snakeval.config.model import Config
from snakeval.results.measured import collect
from snakeval.results.rows import LEADERBOARD, MISSING, SUMMARY_COLUMNS, Row, headline_rows, rows_of
from snakeval.run.attempt import has_failed
from snakeval.run.paths import RunPaths
from snakeval.system.files import last_lines, write_json, write_text

# Beside a value of which a reader has to know more.
MARK = "*"


def summarize(config: Config) -> list[Row]:
    """Return the rows of a run; a task without a valid result has one with `status` "missing" and no numbers."""
    return rows_of(collect(config))


def write_summary(config: Config, rows: Sequence[Row]) -> None:
    """Write summary.csv, summary.json and summary.md."""
    paths = RunPaths(config.folder)
    cells = [row.cells(SUMMARY_COLUMNS) for row in rows]
    text = io.StringIO()
    table = csv.DictWriter(text, SUMMARY_COLUMNS, lineterminator="\n")
    table.writeheader()
    table.writerows(cells)
    write_text(paths.summary("csv"), text.getvalue())
    write_json(paths.summary("json"), {"run": config.run, "rows": cells})
    write_text(paths.summary("md"), leaderboard(rows, "github") + "\n")


def leaderboard(rows: Sequence[Row], style: str = "simple") -> str:
    """Return the table for people: the headline metric of every task, with value, stderr, 95 % interval and n.

    A value whose answers need a word has a mark; the word is below the table.

    Args:
        rows: As `summarize` returns them.
        style: A table format of the package tabulate.
    """
    headlines = headline_rows(rows)
    lines = [
        [
            row.deployment,
            row.task,
            row.label,
            "" if row.value is None else f"{row.value:.4f}{MARK if row.note else ''}",
            "" if row.stderr is None else f"{row.stderr:.4f}",
            "" if row.ci_low is None else f"{row.ci_low:.4f} to {row.ci_high:.4f}",
            "" if row.n is None else row.n,
            row.limit or "all",
        ]
        for row in headlines
    ]
    headers = [column.name for column in LEADERBOARD]
    align = ["left" if column.kind == "text" else "right" for column in LEADERBOARD]
    table = tabulate(lines, headers=headers, tablefmt=style, disable_numparse=True, colalign=align)
    notes = [f"{MARK} {row.deployment}/{row.task}: answers {row.note}" for row in headlines if row.note]
    return "\n".join([table, "", *notes]) if notes else table


@dataclass(frozen=True)
class MissingTask:
    """What is known of a task that has no result.

    Attributes:
        log: Of the step that came farthest, which knows most; None when nothing was begun.
        excerpt: Its end.
    """

    log: Path | None
    excerpt: str


def missing_task(paths: RunPaths, deployment: str, task: str, lines: int) -> MissingTask:
    """Return where to read about a task without a result, and the last lines of it."""
    files, server = paths.task(deployment, task), paths.server(deployment)
    failed = [one.ready_log for one in paths.auxiliaries_of(deployment, task) if has_failed(one)]
    log = next((one for one in (files.log, *failed, files.ready_log, server.deploy_log) if one.exists()), None)
    return MissingTask(log, last_lines(log, lines) if log else "it was not begun")


def failure_report(config: Config, rows: Sequence[Row]) -> str:
    """Return the leaderboard with, below it, each task that has no result: the end of its log and where to read on."""
    paths = RunPaths(config.folder)
    parts = [leaderboard(rows)]
    for row in rows:
        if row.status == MISSING:
            missing = missing_task(paths, row.deployment, row.task, 6)
            where = f" (log: {missing.log})" if missing.log else ""
            indented = "\n".join(f"    {line[:200]}" for line in missing.excerpt.splitlines())
            parts.append(f"missing: {row.deployment}/{row.task}{where}\n{indented}")
    if any(row.status == MISSING for row in rows):
        parts.append(f"run {config.run} is not complete; the same command runs only what is missing")
    return "\n\n".join(parts)
