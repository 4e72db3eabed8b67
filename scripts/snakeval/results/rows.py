"""The flat rows that tables are made of, and the columns of every table; each stands here once."""

import types
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import NamedTuple, get_args, get_type_hints

from snakeval.harnesses.base import Metric
from snakeval.results.measured import Measured
from snakeval.results.metrics import headline_rank, metric_label

Cell = str | int | float | bool | None
OK, MISSING = "ok", "missing"


@dataclass(frozen=True, kw_only=True)
class Row:
    """One metric and filter of a task or subtask on a deployment, in the order of the columns of exports.

    A task without a result has one row with `status` "missing"; all that only a result can tell is then None.
    """

    run: str
    deployment: str
    served_model_name: str
    deployment_type: str
    task: str
    subtask: str | None = None
    metric: str | None = None
    filter: str | None = None
    value: float | None = None
    stderr: float | None = None
    ci_low: float | None = None
    ci_high: float | None = None
    ci_method: str | None = None
    n: int | None = None
    higher_is_better: bool | None = None
    limit: int | None
    repeats: int
    protocol: str
    harness: str
    harness_task: str
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    started_at: str | None = None
    duration_s: float | None = None
    deployment_fingerprint: str | None = None
    task_fingerprint: str | None = None
    snakeval_version: str | None = None
    note: str | None = None
    status: str = MISSING

    @property
    def label(self) -> str:
        """The metric for people, with its filter where there is one; "missing" without a result."""
        return MISSING if self.metric is None else metric_label(self.metric, self.filter)

    def cells(self, columns: Sequence[str]) -> dict[str, Cell]:
        """Return the values of some columns."""
        values = asdict(self)
        return {name: values[name] for name in columns}


COLUMNS = tuple(one.name for one in fields(Row))
SUMMARY_COLUMNS = (
    *("run", "deployment", "task", "subtask", "metric", "filter"),
    *("value", "stderr", "ci_low", "ci_high", "n"),
    *("limit", "repeats", "protocol", "harness", "status"),
)


class Heading(NamedTuple):
    """A column of a table for people: its name, and whether it is sorted and aligned as "text" or as "number"."""

    name: str
    kind: str


LEADERBOARD = (
    *(Heading(name, "text") for name in ("deployment", "task", "metric")),
    *(Heading(name, "number") for name in ("value", "stderr", "95 % interval", "n", "limit")),
)


def comparison_headings(alpha: float) -> tuple[Heading, ...]:
    """Return the columns of a comparison at a level of its tests."""
    numbers = ("baseline", "candidate", "difference", f"{100 * (1 - alpha):g} % interval", "p (Holm)")
    return (
        *(Heading(name, "text") for name in ("task", "verdict")),
        *(Heading(name, "number") for name in numbers),
        Heading("flips", "text"),
        *(Heading(name, "number") for name in ("n", "mde")),
    )


def column_types() -> Mapping[str, type]:
    """Return the type of every column of `COLUMNS`, None aside."""
    hints = get_type_hints(Row)
    return {name: next(one for one in _members(hints[name]) if one is not types.NoneType) for name in COLUMNS}


def rows_of(measured: Sequence[Measured]) -> list[Row]:
    """Return one row per deployment, task, subtask, metric and filter."""
    return [row for one in measured for row in _rows(one)]


def headline_rows(rows: Sequence[Row]) -> list[Row]:
    """Return one row per deployment and task: the task's own (no subtask), best-known metric."""
    chosen: dict[tuple[str, str], Row] = {}
    for row in rows:
        best = chosen.setdefault((row.deployment, row.task), row)
        if _rank(row) < _rank(best):
            chosen[row.deployment, row.task] = row
    return list(chosen.values())


def _rank(row: Row) -> tuple[bool, int]:
    return headline_rank(row.subtask, row.metric or "")


def _members(hint: type) -> tuple[type, ...]:
    return get_args(hint) or (hint,)


def _rows(one: Measured) -> list[Row]:
    if one.result is None:
        return [_row(one)]
    return [_row(one, metric) for metric in one.result.metrics]


def _row(one: Measured, metric: Metric | None = None) -> Row:
    settings = Row(
        run=one.run,
        deployment=one.deployment.name,
        served_model_name=one.deployment.served_model_name,
        deployment_type=one.deployment.type,
        task=one.task.name,
        limit=one.task.limit,
        repeats=one.task.repeats,
        protocol=one.task.protocol.value,
        harness=one.task.harness,
        harness_task=one.task.task,
    )
    result = one.result
    if result is None or metric is None:
        return settings
    return replace(
        settings,
        subtask=metric.subtask,
        metric=metric.name,
        filter=metric.filter,
        value=metric.value,
        stderr=metric.stderr,
        ci_low=metric.ci_low,
        ci_high=metric.ci_high,
        ci_method=metric.ci_method,
        n=metric.n,
        higher_is_better=metric.higher_is_better,
        prompt_tokens=result.tokens.prompt,
        completion_tokens=result.tokens.completion,
        started_at=result.times.started_at,
        duration_s=result.times.duration_s,
        deployment_fingerprint=result.fingerprint.deployment,
        task_fingerprint=result.fingerprint.task,
        snakeval_version=result.versions["snakeval"],
        note=result.note,
        status=OK,
    )
