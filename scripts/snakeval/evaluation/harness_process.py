"""Runs one task's harness as a process, to its end."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO

import psutil

from snakeval.config.model import Config, Task
from snakeval.config.secrets import resolve_env
from snakeval.errors import EndpointError, SnakevalError
from snakeval.evaluation.gateway import TaskGateway
from snakeval.evaluation.place import Place, failed_start, place_of
from snakeval.evaluation.watch import Watch
from snakeval.harnesses.around_task import failed_command
from snakeval.harnesses.availability import harness_lock
from snakeval.harnesses.base import Harness
from snakeval.run.attempt import Progress
from snakeval.system.environments import ensure_environment
from snakeval.system.files import last_lines
from snakeval.system.processes import end_processes
from snakeval.system.say import Say
from snakeval.system.slurm import without_batch_variables

POLL_S = 0.5
REPORT_S = 15.0
GRACE_S = 5.0
LOOPBACK = "127.0.0.1,localhost"
Count = Callable[[Progress | None], None]


@dataclass
class HarnessRun:
    """What a harness needs to run one task.

    Attributes:
        config: The run.
        task: The task, its references to auxiliary deployments filled in.
        folder: The harness's work folder.
        harness: The program.
        watch: Notices when a server, or Snakemake, is gone.
        log: Open log of the task; the harness writes into it too.
        say: Where progress goes, a line at a time.
        count: Where every count of samples goes.
        gateway: Through which the requests go.
        keys: Keys of auxiliary deployments by the name of the variable that holds them.
    """

    config: Config
    task: Task
    folder: Path
    harness: Harness
    watch: Watch
    log: IO[str]
    say: Say
    count: Count
    gateway: TaskGateway
    keys: Mapping[str, str] = field(repr=False)


def run_harness(job: HarnessRun) -> None:
    """Run the harness to its end; raise what `Harness.failure` makes of a bad one."""
    lock = harness_lock(job.task)
    python = ensure_environment(lock) if lock else Path()
    command = job.harness.command(job.task, job.gateway.endpoint, job.folder, python, job.config)
    own = resolve_env(job.task.env_vars, os.environ | job.keys)
    command = replace(command, env=command.env | without_proxy(os.environ | own))
    evaluated, server = next(iter(job.watch.servers.items()))
    place = place_of(job.config, evaluated, job.task, command, job.folder, server.allocation if server else None)
    before = os.fstat(job.log.fileno()).st_size
    process = subprocess.Popen(
        place.argv,
        cwd=place.cwd,
        env={**without_batch_variables(os.environ), **own, **command.env, **place.env},
        stdin=place.stdin,
        stdout=job.log,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        pass_fds=place.inherited,
    )
    with _ended_with_us(process, place):
        report = ProgressReport(job.say)
        while process.poll() is None:
            job.watch.check()
            job.gateway.check()
            progress = job.harness.progress(job.folder)
            job.count(progress)
            report.update(progress)
            time.sleep(POLL_S)
    job.count(job.harness.progress(job.folder))
    if process.returncode != 0:
        # A dead server explains a failed harness better than the harness can.
        job.watch.check_servers()
        log_tail = last_lines(Path(job.log.name), since=before)
        raise (
            failed_command(job.folder)
            or failed_start(job.config, job.task, job.folder, process.returncode, log_tail)
            or _failure(job, process.returncode)
        )


def without_proxy(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that keep a harness's requests to its gateway away from a proxy.

    Most programs read the first of the two names that is set: what the other one says must not be lost.
    """
    lower, upper = environ.get("no_proxy"), environ.get("NO_PROXY")
    named = {"no_proxy": lower or upper, "NO_PROXY": upper or lower}
    # A star is understood on its own alone.
    return {name: value if value == "*" else ",".join(filter(None, (value, LOOPBACK))) for name, value in named.items()}


def _failure(job: HarnessRun, returncode: int) -> SnakevalError:
    """Return what the harness says of its end; one that knows nothing of its endpoint is explained by the gateway."""
    said = job.harness.failure(job.folder, returncode)
    why = job.gateway.why_unanswered()
    return said if why is None or isinstance(said, EndpointError) else EndpointError(f"{said}\n{why}")


@contextmanager
def _ended_with_us(process: "subprocess.Popen[bytes]", place: Place) -> Iterator[None]:
    """Whatever ends this block, a signal included, the harness and its children end too."""

    def on_signal(number: int, _frame: object) -> None:
        raise SystemExit(128 + number)

    before = {number: signal.signal(number, on_signal) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        try:
            leader = psutil.Process(process.pid)
            end_processes([leader, *leader.children(recursive=True)], GRACE_S)
        except psutil.Error:
            pass
        process.wait()
        place.end()


class ProgressReport:
    """Says how far the harness is: at every tenth of the samples, and every `REPORT_S` seconds at least."""

    def __init__(self, say: Say) -> None:
        self._say = say
        self._said = time.monotonic()
        self._tenth = 0
        self._first: tuple[float, int] | None = None

    def update(self, progress: Progress | None) -> None:
        """Take a new count of samples."""
        if progress is None or progress.total == 0:
            return
        now = time.monotonic()
        self._first = self._first or (now, progress.done)
        tenth = 10 * progress.done // progress.total
        if tenth == self._tenth and now - self._said < REPORT_S:
            return
        self._tenth, self._said = tenth, now
        begin, before = self._first
        rate = (progress.done - before) / (now - begin) if now > begin else 0.0
        left = f", {rate:.1f}/s, {(progress.total - progress.done) / rate:.0f} s left" if rate > 0 else ""
        self._say(f"{progress.done}/{progress.total} samples{left}")
