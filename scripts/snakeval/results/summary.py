"""Collects the results of a run into tables and the leaderboard; what is missing is shown as missing."""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tabulate import tabulate

from snakeval.config.model import Config
from snakeval.errors import HarnessError
from snakeval.results.result import read_result
from snakeval.run.attempt import has_failed
from snakeval.run.paths import RunPaths
from snakeval.system.files import last_lines, write_json, write_text

COLUMNS = (
    "run",
    "deployment",
    "task",
    "subtask",
    "metric",
    "filter",
    "value",
    "stderr",
    "ci_low",
    "ci_high",
    "n",
    "limit",
    "repeats",
    "protocol",
    "harness",
    "status",
)
HEADLINE_ORDER = ("acc_norm", "exact_match", "acc", "pass@1", "f1")


def summarize(config: Config) -> list[dict[str, Any]]:
    """Return one row per deployment, task, subtask, metric and filter, columns as `COLUMNS`.

    A task without a valid result has one row with `status` "missing" and no numbers.
    """
    paths = RunPaths(config.folder)
    rows = []
    for deployment in config.deployments:
        for task in config.tasks:
            base = {"run": config.run, "deployment": deployment.name, "task": task.name, "limit": task.limit}
            base |= {"repeats": task.repeats, "protocol": task.protocol.value, "harness": task.harness}
            try:
                result = read_result(paths.task(deployment.name, task.name).result)
            except HarnessError:
                result = None
            if result is None:
                rows.append(dict.fromkeys(COLUMNS) | base | {"status": "missing"})
                continue
            for metric in result["metrics"]:
                numbers = {name: metric.get(name) for name in COLUMNS if name in metric}
                rows.append(dict.fromkeys(COLUMNS) | base | numbers | {"metric": metric["name"], "status": "ok"})
    return rows


def write_summary(config: Config, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write summary.csv, summary.json and summary.md."""
    paths = RunPaths(config.folder)
    text = io.StringIO()
    table = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    table.writeheader()
    table.writerows(rows)
    write_text(paths.summary("csv"), text.getvalue())
    write_json(paths.summary("json"), {"run": config.run, "rows": list(rows)})
    write_text(paths.summary("md"), leaderboard(rows, "github") + "\n")


def leaderboard(rows: Sequence[Mapping[str, Any]], style: str = "simple") -> str:
    """Return the table for people: the headline metric of every task, with value, stderr, 95 % interval and n.

    Args:
        rows: As `summarize` returns them.
        style: A table format of the package tabulate.
    """
    lines = []
    for row in headline_rows(rows):
        missing = row["status"] == "missing"
        lines.append(
            [
                row["deployment"],
                row["task"],
                "missing" if missing else metric_label({"name": row["metric"], "filter": row["filter"]}),
                "" if missing else f"{row['value']:.4f}",
                "" if row["stderr"] is None else f"{row['stderr']:.4f}",
                "" if row["ci_low"] is None else f"{row['ci_low']:.4f} to {row['ci_high']:.4f}",
                "" if missing else row["n"],
                row["limit"] or "all",
            ]
        )
    headers = ["deployment", "task", "metric", "value", "stderr", "95 % interval", "n", "limit"]
    return tabulate(
        lines, headers=headers, tablefmt=style, disable_numparse=True, colalign=("left",) * 3 + ("right",) * 5
    )


def headline_rows(rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return one row per deployment and task: the task's own (no subtask), best-known metric."""
    chosen: dict[tuple[str, str], Mapping[str, Any]] = {}
    for row in rows:
        key = (row["deployment"], row["task"])
        best = chosen.setdefault(key, row)
        if _rank(row["subtask"], row["metric"]) < _rank(best["subtask"], best["metric"]):
            chosen[key] = row
    return list(chosen.values())


def headline_metric(metrics: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """Return the metric of a result that stands for its task, the one that `headline_rows` chooses."""
    return min(metrics, key=lambda metric: _rank(metric["subtask"], metric["name"]))


def metric_label(metric: Mapping[str, Any]) -> str:
    """Return the name of a metric of a result, with its filter where there is one."""
    plain = metric["filter"] in (None, "", "none")
    return str(metric["name"]) if plain else f"{metric['name']} ({metric['filter']})"


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


def failure_report(config: Config, rows: Sequence[Mapping[str, Any]]) -> str:
    """Return the leaderboard with, below it, each task that has no result: the end of its log and where to read on."""
    paths = RunPaths(config.folder)
    parts = [leaderboard(rows)]
    for row in rows:
        if row["status"] == "missing":
            missing = missing_task(paths, row["deployment"], row["task"], 6)
            where = f" (log: {missing.log})" if missing.log else ""
            indented = "\n".join(f"    {line[:200]}" for line in missing.excerpt.splitlines())
            parts.append(f"missing: {row['deployment']}/{row['task']}{where}\n{indented}")
    if any(row["status"] == "missing" for row in rows):
        parts.append(f"run {config.run} is not complete; the same command runs only what is missing")
    return "\n\n".join(parts)


def _rank(subtask: str | None, name: str) -> tuple[bool, int]:
    return subtask is not None, HEADLINE_ORDER.index(name) if name in HEADLINE_ORDER else len(HEADLINE_ORDER)
