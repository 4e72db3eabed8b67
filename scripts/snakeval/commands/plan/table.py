"""The plan for people: a row for each deployment, and one for each task that is to do."""

from collections.abc import Callable, Sequence

from tabulate import tabulate

from snakeval.commands.plan.document import cost_of
from snakeval.commands.plan.estimate import DeploymentPlan, Interval, TaskPlan, total, wall_of_run
from snakeval.config.model import Config
from snakeval.system.times import clock

NO_DATA = "no data"
HEADERS = ("", "samples", "requests", "tokens in", "tokens out", "time", "GPU-hours", "from")


def plan_table(config: Config, plans: Sequence[DeploymentPlan]) -> str:
    """Return what is to do and what it takes, each as an interval from a low to a high guess."""
    rows = [list(HEADERS), *(row for plan in plans for row in _rows(plan))]
    # Columns of which nothing is known say nothing.
    kept = [column for column in range(len(HEADERS)) if column == 0 or any(row[column] for row in rows[1:])]
    table = tabulate(
        [[row[column] for column in kept] for row in rows],
        headers="firstrow",
        disable_numparse=True,
        preserve_whitespace=True,
        colalign=["left" if column in (0, len(HEADERS) - 1) else "right" for column in kept],
    )
    to_do = sum(len(plan.to_do) for plan in plans)
    done = sum(len(plan.tasks) for plan in plans) - to_do
    return f"run {config.run}: {to_do} tasks to do, {done} done\n\n{table}\n\n{_sums(config, plans)}"


def _rows(plan: DeploymentPlan) -> list[list[str]]:
    done = len(plan.tasks) - len(plan.to_do)
    said = f"{len(plan.to_do)} to do, {done} done" + (f", {plan.without_data} {NO_DATA}" if plan.without_data else "")
    head = [plan.deployment, _samples(plan.to_do), *_counts(plan.total), _span(plan.wall_s, clock)]
    head += [_span(plan.gpu_hours, _number) if plan.gpus is not None else "", said]
    rows = [head if plan.to_do else [plan.deployment, *[""] * 6, said]]
    if plan.load_s is not None:
        rows.append(["  until it is ready", *[""] * 4, _span(plan.load_s, clock), "", "earlier starts"])
    return [*rows, *(_task(task) for task in plan.to_do)]


def _task(task: TaskPlan) -> list[str]:
    if task.basis is None:
        return [f"  {task.task}", *[""] * 6, NO_DATA]
    counts = _counts(lambda name: getattr(task, name))
    return [f"  {task.task}", str(task.samples), *counts, _span(task.duration_s, clock), "", str(task.basis)]


def _counts(value: Callable[[str], Interval | None]) -> list[str]:
    return [_span(value(name), _short) for name in ("requests", "prompt_tokens", "completion_tokens")]


def _samples(tasks: Sequence[TaskPlan]) -> str:
    known = [task.samples for task in tasks if task.samples is not None]
    return str(sum(known)) if known else ""


def _sums(config: Config, plans: Sequence[DeploymentPlan]) -> str:
    without = sum(plan.without_data for plan in plans)
    more = f", and nothing is known of {without} more" if without else ""
    wall, gpu_hours = wall_of_run(plans, config.execution.max_deployments), total(plan.gpu_hours for plan in plans)
    if wall is None:
        return "time: no data" if without else "nothing to do"
    parts = [f"time: {_span(wall, clock)}{more}"]
    if gpu_hours is not None:
        parts.append(f"GPU-hours: {_span(gpu_hours, _number)}")
    unsaid = [plan.deployment for plan in plans if plan.to_do and plan.gpus is None]
    if unsaid:
        parts.append(f"GPU-hours: the configuration does not say how many GPUs {', '.join(unsaid)} takes")
    cost = cost_of(config, gpu_hours)
    if cost is not None:
        parts.append(f"cost: {_span(cost, _number)} {config.execution.options['currency']}")
    return "\n".join(parts)


def _span(interval: Interval | None, form: Callable[[float], str]) -> str:
    if interval is None:
        return ""
    low, high = form(interval.low), form(interval.high)
    return low if low == high else f"{low} - {high}"


def _short(value: float) -> str:
    """Return a count as people read it: 950, 12k, 3.4M."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if value >= size:
            unit = 1e3 if letter == "k" else size
            return f"{value / unit:.3g}{letter}"
    return f"{value:.0f}"


def _number(value: float) -> str:
    return f"{value:.2f}" if value < 100 else f"{value:.0f}"
