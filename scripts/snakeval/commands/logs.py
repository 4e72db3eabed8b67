"""`snakeval logs`: the end of the log of a task or a server, and what follows."""

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from difflib import get_close_matches
from typing import Any

from snakeval.backends import backend_of
from snakeval.commands.chosen_run import ChosenRun, add_run_arguments, choose_run
from snakeval.config.model import Config, Deployment, Task
from snakeval.deployments.types import deployment_type
from snakeval.errors import Problem, UsageError
from snakeval.run.attempt import Attempt, Course, Stage
from snakeval.run.session import read_session
from snakeval.system.growing_log import GrowingLog

POLL_S = 0.5
LINES = 20
EPILOG = """examples:
  snakeval logs gsm8k                          the end of a task's log
  snakeval logs qwen/gsm8k --follow            where several deployments have the task
  snakeval logs qwen --follow -n 100           a server's log

--follow goes on across attempts and restarts, until the task has ended or the run has; Ctrl-C ends it with status 130.
"""


def register(subparsers: "argparse._SubParsersAction[Any]") -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser("logs", help="the log of a task or a server", description=__doc__, epilog=EPILOG)
    parser.add_argument("target", metavar="NAME", help="TASK, DEPLOYMENT/TASK or DEPLOYMENT")
    parser.add_argument("--follow", "-f", action="store_true", help="go on printing what is written")
    parser.add_argument("-n", "--lines", type=_count, default=LINES, metavar="N", help="lines to begin with (20)")
    add_run_arguments(parser, folder_is_positional=False)
    parser.set_defaults(run=show_logs)


def show_logs(arguments: argparse.Namespace) -> int:
    """Print the end of a log, and what follows; returns 0."""
    chosen = choose_run(arguments)
    deployment, task = find_target(chosen.config, arguments.target)
    if task is None:
        _show_server(chosen, deployment, arguments.lines, arguments.follow)
    else:
        _show_task(chosen, deployment, task, arguments.lines, arguments.follow)
    return 0


def find_target(config: Config, name: str) -> tuple[Deployment, Task | None]:
    """Return the deployment, and the task unless the deployment itself is meant.

    Raises:
        UsageError: nothing is named so, or several things are.
    """
    found: dict[str, tuple[Deployment, Task | None]] = {}
    for deployment in config.deployments:
        found[deployment.name] = (deployment, None)
        for task in config.tasks:
            found[f"{deployment.name}/{task.name}"] = (deployment, task)
    found |= {one.name: (one, None) for one in config.auxiliaries}
    meant = [full for full in found if full == name or full.partition("/")[2] == name]
    if len(meant) == 1:
        return found[meant[0]]
    if meant:
        raise UsageError(Problem(name, "is ambiguous", name, f"one of {', '.join(meant[:12])}", "give the full name"))
    known = [*found, *(task.name for task in config.tasks)]
    near = get_close_matches(name, known, 1)
    hint = f"did you mean {near[0]}?" if near else "snakeval status lists deployments and tasks"
    names = ", ".join([*(one.name for one in config.served), *(one.name for one in config.tasks)][:12])
    raise UsageError(
        Problem(name, f"is no task and no deployment of run {config.run}", name, f"one of {names}, ...", hint)
    )


def _show_task(chosen: ChosenRun, deployment: Deployment, task: Task, lines: int, follow: bool) -> None:
    files = chosen.paths.task(deployment.name, task.name)
    logs = [GrowingLog(files.ready_log), GrowingLog(files.log)]
    attempt = Attempt.read(files.attempt)
    waits = attempt is not None and attempt.stage is Stage.READY and attempt.course is not Course.SUCCEEDED
    begin = logs[0] if waits or not files.log.exists() else logs[1]
    if not begin.path.exists() and not follow:
        raise _nothing_yet(f"{deployment.name}/{task.name}", chosen)

    def has_ended() -> bool:
        return not _is_running(chosen) or files.result.exists() or _has_failed(chosen, deployment, task)

    _print(logs, begin, lines, has_ended if follow else None)


def _show_server(chosen: ChosenRun, deployment: Deployment, lines: int, follow: bool) -> None:
    if not deployment_type(deployment.type).has_server:
        raise UsageError(
            Problem(
                deployment.name,
                "has no log: its endpoint was there before",
                f"deployment type {deployment.type}",
                "a deployment with a server of its own, or a task",
                f"snakeval logs {deployment.name}/TASK",
            )
        )
    log = GrowingLog(chosen.paths.server(deployment.name).log)
    if not log.path.exists() and not follow:
        # Some backends keep the output where only they can read it.
        print(backend_of(chosen.config).log_tail(deployment.name))
        return
    _print([log], log, lines, (lambda: not _is_running(chosen)) if follow else None)


def _print(logs: Sequence[GrowingLog], begin: GrowingLog, lines: int, has_ended: Callable[[], bool] | None) -> None:
    """Print the end of one of the logs; with `has_ended`, also what all of them are given until that is true."""
    last = begin
    sys.stdout.write(begin.last_lines(lines))
    for log in logs:
        if log is not begin:
            log.last_lines(0)
    while has_ended is not None:
        # Looked at before reading: what was written up to the end is read after it.
        ended = has_ended()
        for log in logs:
            text = log.more()
            if text:
                if log is not last:
                    sys.stdout.write(f"\n==> {log.path} <==\n")
                last = log
                sys.stdout.write(text)
        sys.stdout.flush()
        if ended:
            return
        time.sleep(POLL_S)


def _is_running(chosen: ChosenRun) -> bool:
    session = read_session(chosen.paths)
    return session is not None and session.lives


def _has_failed(chosen: ChosenRun, deployment: Deployment, task: Task) -> bool:
    """Whether the task's last attempt in this session has failed."""
    attempt = Attempt.read(chosen.paths.task(deployment.name, task.name).attempt)
    session = read_session(chosen.paths)
    if attempt is None or session is None or attempt.started_at < session.began_at:
        return False
    return attempt.course is Course.FAILED and attempt.attempt >= attempt.last_attempt


def _nothing_yet(name: str, chosen: ChosenRun) -> UsageError:
    return UsageError(
        Problem(
            name,
            "has no log yet",
            f"no log in {chosen.paths.root / name}",
            "a task that was begun",
            "--follow waits for it while a run goes on",
        )
    )


def _count(text: str) -> int:
    number = int(text)
    if number < 0:
        raise ValueError("negative")
    return number
