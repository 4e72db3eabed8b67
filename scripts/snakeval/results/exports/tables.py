"""Tables: all rows for programs (CSV, JSON), one cell per deployment and task for people (Markdown, LaTeX)."""

import csv
import io
import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

from tabulate import tabulate

from snakeval.results.measured import Measured, missing, scored
from snakeval.results.rows import COLUMNS, MISSING, Row, headline_rows, rows_of
from snakeval.system.files import write_text

_LATEX = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "`": r"\textasciigrave{}",
}
Score = tuple[float, float | None] | tuple[()] | None


@dataclass(frozen=True)
class Pivot:
    """Headline scores; tasks are rows, deployments are columns.

    Attributes:
        deployments: The columns.
        lines: Task, limit, metric, samples, and one cell per deployment. A cell is value and standard error. It is None
            without a result, and empty when another line of the task has it.
    """

    deployments: tuple[str, ...]
    lines: tuple[tuple[str, str, str, str, tuple[Score, ...]], ...]


def as_csv(measured: Sequence[Measured]) -> str:
    """Return all rows with a header; an unknown number is an empty cell."""
    text = io.StringIO()
    table = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    table.writeheader()
    table.writerows(row.cells(COLUMNS) for row in rows_of(measured))
    return text.getvalue()


def as_json(measured: Sequence[Measured]) -> str:
    """Return every result.json whole, and the names of what is missing."""
    content = {
        "schema_version": 1,
        "run": measured[0].run,
        "results": [one.result.as_json() for one in scored(measured)],
        "missing": [asdict(one) for one in missing(measured)],
    }
    return json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def as_markdown(measured: Sequence[Measured]) -> str:
    """Return the headline scores as a table of GitHub's Markdown."""
    pivot = make_pivot(rows_of(measured))
    lines = [
        [*map(escape_markdown, names), *(_cell(cell, "{} ± {}") for cell in cells)] for *names, cells in pivot.lines
    ]
    headers = ["task", "limit", "metric", "n", *map(escape_markdown, pivot.deployments)]
    align = ("left", "right", "left") + ("right",) * (len(headers) - 3)
    table = tabulate(lines, headers, tablefmt="github", disable_numparse=True, colalign=align)
    return f"{table}\n\nRun {escape_markdown(measured[0].run)}; value ± standard error.\n"


def as_latex(measured: Sequence[Measured]) -> str:
    """Return the headline scores as a LaTeX table; needs the package booktabs."""
    pivot = make_pivot(rows_of(measured))
    run = escape_latex(measured[0].run)
    head = ["Task", "Limit", "Metric", "$n$", *map(escape_latex, pivot.deployments)]
    lines = [
        [*map(escape_latex, names), *(_cell(cell, r"${} \pm {}$") for cell in cells)] for *names, cells in pivot.lines
    ]
    body = "\n".join(f"    {' & '.join(line)} \\\\" for line in lines)
    return (
        "% Needs \\usepackage{booktabs}; and \\usepackage[T1]{fontenc} with pdfTeX.\n"
        "\\begin{table}\n"
        "  \\centering\n"
        f"  \\caption{{Scores of run {run}, with standard errors.}}\n"
        f"  \\label{{tab:{measured[0].run}}}\n"
        f"  \\begin{{tabular}}{{lrl{'r' * (len(head) - 3)}}}\n"
        "    \\toprule\n"
        f"    {' & '.join(head)} \\\\\n"
        "    \\midrule\n"
        f"{body}\n"
        "    \\bottomrule\n"
        "  \\end{tabular}\n"
        "\\end{table}\n"
    )


def write_csv(measured: Sequence[Measured], folder: Path, _log: IO[str]) -> None:
    """Write results.csv."""
    write_text(folder / "results.csv", as_csv(measured))


def write_json(measured: Sequence[Measured], folder: Path, _log: IO[str]) -> None:
    """Write results.json."""
    write_text(folder / "results.json", as_json(measured))


def write_markdown(measured: Sequence[Measured], folder: Path, _log: IO[str]) -> None:
    """Write results.md."""
    write_text(folder / "results.md", as_markdown(measured))


def write_latex(measured: Sequence[Measured], folder: Path, _log: IO[str]) -> None:
    """Write results.tex."""
    write_text(folder / "results.tex", as_latex(measured))


def make_pivot(rows: Sequence[Row]) -> Pivot:
    """Return the headline scores of rows.

    Deployments may have been scored by another metric or on another number of samples. Then a task has several lines,
    and each line has the cells that belong together.
    """
    chosen = headline_rows(rows)
    deployments = tuple(dict.fromkeys(row.deployment for row in chosen))
    lines: list[tuple[str, str, str, str, tuple[Score, ...]]] = []
    for task in dict.fromkeys(row.task for row in chosen):
        own = {row.deployment: row for row in chosen if row.task == task}
        limit = str(next(iter(own.values())).limit or "all")
        scored_rows = [row for row in own.values() if row.status != MISSING]
        for kind in dict.fromkeys(map(_kind, scored_rows)) or [("", "")]:
            lines.append((task, limit, *kind, tuple(_content(own.get(name), kind) for name in deployments)))
    return Pivot(deployments, tuple(lines))


def _kind(row: Row) -> tuple[str, str]:
    """Return metric and number of samples: what scores in one line have in common."""
    return row.label, str(row.n)


def _content(row: Row | None, kind: tuple[str, str]) -> Score:
    if row is None or row.value is None:
        return None
    return (row.value, row.stderr) if _kind(row) == kind else ()


def escape_latex(text: str) -> str:
    """Return text for LaTeX, whatever characters it has; line breaks and control characters become spaces."""
    escaped = "".join(_LATEX.get(character, character) for character in _one_line(text))
    # Two hyphens would become a dash.
    return re.sub(r"-(?=-)", "-{}", escaped)


def escape_markdown(text: str) -> str:
    """Return text for a cell of a Markdown table; an underscore within a word needs no escape."""
    return re.sub(r"[\\|*`<>\[\]]|(?<!\w)_|_(?!\w)", lambda found: f"\\{found.group()}", _one_line(text))


def _one_line(text: str) -> str:
    return " ".join("".join(one if one.isprintable() else " " for one in text).split())


def _cell(cell: Score, with_error: str) -> str:
    if cell is None:
        return MISSING
    if not cell:
        return ""
    value, stderr = cell
    return f"{value:.4f}" if stderr is None else with_error.format(f"{value:.4f}", f"{stderr:.4f}")
