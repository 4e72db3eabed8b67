"""A run's status for people, as tables of the library rich."""

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from snakeval.commands.status.model import RunStatus, ServerStatus, TaskState, TaskStatus
from snakeval.system.times import clock

STYLES = {
    TaskState.QUEUED: "dim",
    TaskState.RUNNING: "cyan",
    TaskState.SUCCEEDED: "green",
    TaskState.FAILED: "bold red",
    "PENDING": "yellow",
    "STARTING": "yellow",
    "READY": "green",
    "DRAINING": "yellow",
    "STOPPED": "dim",
    "FAILED": "bold red",
}
RIGHT = ("DONE", "RATE", "LEFT", "AGE", "RESTARTS")
GAP = "  "
LEAST_NAME = 20
LEAST_NOTE = 16
# Where not all tasks fit, those come first that somebody who looks now wants to see.
URGENCY = (TaskState.FAILED, TaskState.RUNNING, TaskState.QUEUED, TaskState.SUCCEEDED)
# Lines beside the rows of servers and tasks: two headings, two table heads, blank lines, the line of what is left out.
FIXED_LINES = 9


def status_view(status: RunStatus, width: int | None = None, height: int | None = None) -> RenderableType:
    """Return what to print.

    Args:
        status: The run.
        width: Columns that there are; None cuts nothing.
        height: Lines that there are; None shows every task, and every failure with its log.
    """
    parts: list[RenderableType] = [_heading(status), Text(), _servers(status.servers, width), Text()]
    shown = status.tasks if height is None else _most_urgent(status, height - FIXED_LINES - len(status.servers))
    parts.append(_tasks(shown, len(status.servers) > 1, width))
    left = len(status.tasks) - len(shown)
    if left > 0:
        parts.append(Text(f"and {left} more", style="dim"))
    if height is None:
        parts += [_failure(task) for task in status.tasks if task.state is TaskState.FAILED]
    return Group(*parts)


def counts_line(status: RunStatus) -> str:
    """Return how many tasks are in each state, e.g. "2 running, 1 failed, 7 queued, 30 succeeded"."""
    order = (TaskState.RUNNING, TaskState.FAILED, TaskState.QUEUED, TaskState.SUCCEEDED)
    said = [f"{status.counts[state]} {state}" for state in order if status.counts[state]]
    return ", ".join(said) or "no tasks"


def _heading(status: RunStatus) -> Text:
    session = status.session
    line = Text.assemble("run ", (status.run, "bold"), f": Snakemake {_session(status)}")
    if session is not None and status.session_lives:
        line.append(f" (process {session.pid} on {session.machine})", style="dim")
    line.append(f", {status.folder}", style="dim")
    counts = Text(f"{len(status.tasks)} tasks: {counts_line(status)}")
    return Text("\n", no_wrap=True, overflow="ellipsis").join([line, counts])


def _session(status: RunStatus) -> str:
    session, state = status.session, status.session_state
    if session is None:
        return f"has {state}" if state == "succeeded" else "has not begun"
    if status.session_lives:
        return f"runs, for {clock(status.at - session.began_at)}"
    if session.ended_at is None:
        return "was killed"
    said = "was interrupted" if state == "interrupted" else f"has {state}"
    return f"{said}, {clock(status.at - session.ended_at)} ago, after {clock(session.ended_at - session.began_at)}"


def _servers(servers: Sequence[ServerStatus], width: int | None) -> Text:
    rows = []
    for one in servers:
        restarts = "" if one.restarts is None else str(one.restarts)
        state = one.state or ("endpoint" if one.log is None else "unknown")
        rows.append([one.deployment, state, one.address or "", clock(one.age_s), restarts, one.reason or ""])
    return _table(("SERVER", "STATE", "ADDRESS", "AGE", "RESTARTS", ""), rows, width)


def _tasks(tasks: Sequence[TaskStatus], several: bool, width: int | None) -> Text:
    """Return the table of tasks; their deployment is named where there are `several`."""
    rows = []
    for one in tasks:
        done = f"{one.done}/{one.total}" if one.total is not None else ""
        rate = f"{one.rate_per_s:.1f}/s" if one.rate_per_s is not None else ""
        attempt = f"{one.attempt}/{one.last_attempt or one.attempt}" if one.attempt else ""
        name = f"{one.deployment}/{one.task}" if several else one.task
        rows.append([name, one.state, done, rate, clock(one.remaining_s), attempt, one.reason or ""])
    return _table(("TASK", "STATE", "DONE", "RATE", "LEFT", "ATTEMPT", ""), rows, width)


def _table(headers: Sequence[str], rows: list[list[str]], width: int | None) -> Text:
    """Return a table whose second column is a state; the last column, then the first one, is cut to fit.

    rich's own tables take a millisecond a row, which is too long for hundreds of tasks.
    """
    widths = [max(map(len, column)) for column in zip(headers, *rows, strict=True)]
    excess = 0 if width is None else sum(widths) + len(GAP) * (len(widths) - 1) - width
    for column, least in ((-1, LEAST_NOTE), (0, LEAST_NAME)):
        cut = max(0, min(excess, widths[column] - least))
        widths[column] -= cut
        excess -= cut
    lines = [Text(_line(headers, headers, widths), style="bold")]
    for cells in rows:
        line = Text(_line(headers, cells, widths))
        line.stylize(STYLES.get(cells[1], ""), widths[0], widths[0] + len(GAP) + widths[1])
        lines.append(line)
    return Text("\n", no_wrap=True).join(lines)


def _line(headers: Sequence[str], cells: Sequence[str], widths: Sequence[int]) -> str:
    # The end of a task's name tells it from the others; of a reason, the beginning matters.
    fitted = [_end_of(cells[0], widths[0]), *map(_begin_of, cells[1:], widths[1:])]
    padded = [
        cell.rjust(width) if header in RIGHT else cell.ljust(width)
        for header, cell, width in zip(headers, fitted, widths, strict=True)
    ]
    return GAP.join(padded).rstrip()


def _begin_of(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[: length - 1]}…"


def _end_of(text: str, length: int) -> str:
    return text if len(text) <= length else f"…{text[1 - length :]}"


def _most_urgent(status: RunStatus, rows: int) -> list[TaskStatus]:
    """Return the tasks that fit, those that need a look first, in the order of the configuration within each state."""
    if len(status.tasks) <= rows:
        return list(status.tasks)
    ordered = sorted(status.tasks, key=lambda task: URGENCY.index(task.state))
    return ordered[: max(1, rows)]


def _failure(task: TaskStatus) -> Text:
    where = f" (log: {task.log})" if task.log else ""
    return Text.assemble("\n", ("failed: ", "bold red"), f"{task.deployment}/{task.task}{where}\n    {task.reason}")
