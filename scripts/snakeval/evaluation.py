"""Runs one task's harness against a deployment, watches both, and turns the outcome into a result."""

import hashlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import psutil

from snakeval.auxiliary import informed
from snakeval.backends import Backend, Server, ServerState, backend_of
from snakeval.backends.handover import without_batch_variables
from snakeval.claims import await_predecessors, claim
from snakeval.concurrency import within_limit
from snakeval.config.model import Config, Deployment, Task
from snakeval.environments import ensure_environment, harness_lock
from snakeval.errors import EndpointError
from snakeval.files import last_lines, write_text
from snakeval.harnesses import Endpoint, Harness, Progress, harness_of
from snakeval.harnesses.runner import DATA_CACHE
from snakeval.heartbeat import SILENCE_S, SessionWatch
from snakeval.paths import RunPaths, TaskPaths, auxiliary_user
from snakeval.processes import end_processes, is_alive
from snakeval.results import build_result, write_result, write_samples
from snakeval.samples import read_table
from snakeval.secrets import resolve_env
from snakeval.serving import asked_of, reach
from snakeval.stopping import refuse_stopped
from snakeval.task_commands import failed_command
from snakeval.task_place import Place, failed_start, place_of
from snakeval.uncertainty import with_uncertainty

POLL_S = 0.5
LIVENESS_S = 2.0
REPORT_S = 15.0
GRACE_S = 5.0
Say = Callable[[str], None]
Count = Callable[[Progress | None], None]


def evaluate(
    config: Config,
    deployment: Deployment,
    task: Task,
    attempt: int,
    log: IO[str],
    say: Say,
    count: Count = lambda _: None,
) -> None:
    """Rule evaluate: run the task and write result.json and samples.jsonl.gz; nothing is written unless it succeeds.

    Args:
        config: The run.
        deployment: What is evaluated; its server is started again when it is gone.
        task: The task.
        attempt: Of the rule, from 1.
        log: Open log of the task; the harness writes into it too.
        say: Where progress goes, a line at a time.
        count: Where every count of samples goes.

    Raises:
        DeploymentError, EndpointError: infrastructure failed; a retry resumes where this attempt ended.
        HarnessError: the task cannot be scored.
    """
    paths = RunPaths(config.execution.output_dir / config.run)
    files = paths.task(deployment.name, task.name)
    harness = harness_of(task.module or task.harness)
    limited = task
    for one in (deployment, *config.used_by(task)):
        limited = within_limit(one, limited)
    await_predecessors(paths, deployment.name, task.name, say)
    with ExitStack() as claims:
        claims.enter_context(claim(paths, deployment.name, task.name))
        for name in task.auxiliaries:
            claims.enter_context(claim(paths, name, auxiliary_user(deployment.name, task.name)))
        started_at = time.time()
        while True:
            watch, endpoint, auxiliary = _reach(config, deployment, task, attempt, say)
            _prepare(files, deployment, task)
            told, keys = informed(limited, auxiliary)
            try:
                _run(_Job(config, told, endpoint, files.harness, harness, watch, log, say, count, keys))
                break
            except _ServerComesBack as interruption:
                say(f"{interruption}; waiting for it, then going on with what is not answered yet")
        outcome = with_uncertainty(harness.outcome(files.harness), read_table(harness.samples(files.harness)))
        result = build_result(config, deployment, task, outcome, started_at, time.time(), attempt)
        write_samples(files.samples, harness.samples(files.harness))
        write_result(files.result, result)
        # What let a killed task resume must not answer for a later, complete evaluation.
        (files.harness / "fingerprint").unlink()
        shutil.rmtree(files.harness / DATA_CACHE, ignore_errors=True)


class _ServerComesBack(Exception):
    """The batch system has put the server's job back into its queue: no failure, and no attempt of the task."""


def _reach(
    config: Config, deployment: Deployment, task: Task, attempt: int, say: Say
) -> tuple["_Watch", Endpoint, list[tuple[Deployment, Endpoint]]]:
    """Return the endpoint that is evaluated, those of the auxiliary deployments, and what watches all of them."""
    paths = RunPaths(config.execution.output_dir / config.run)
    session = SessionWatch(paths.session, min(SILENCE_S, config.execution.idle_timeout_s))
    server, endpoint = reach(config, deployment, task.protocol, attempt, say)
    servers = {deployment.name: server}
    auxiliary = []
    for one in config.used_by(task):
        servers[one.name], its = reach(config, one, asked_of(one), attempt, say)
        auxiliary.append((one, its))
    return _Watch(backend_of(config), paths, servers, session), endpoint, auxiliary


def _prepare(files: TaskPaths, deployment: Deployment, task: Task) -> None:
    """Keep the harness's folder when it belongs to an interrupted attempt of the very same evaluation."""
    mark = files.harness / "fingerprint"
    fingerprint = hashlib.sha256(f"{deployment.fingerprint} {task.fingerprint}".encode()).hexdigest()
    if not mark.exists() or mark.read_text(encoding="utf-8") != fingerprint:
        shutil.rmtree(files.harness, ignore_errors=True)
        write_text(mark, fingerprint)
    shutil.rmtree(files.harness / DATA_CACHE, ignore_errors=True)


@dataclass
class _Watch:
    """Notices that a server of the task, or Snakemake itself, is gone; the first server is the evaluated one."""

    backend: Backend
    paths: RunPaths
    servers: Mapping[str, Server | None]
    session: SessionWatch
    snakemake: tuple[int, float] | None = field(default_factory=lambda: _snakemake_process())
    looked: float = field(default_factory=time.monotonic)

    def check(self) -> None:
        """Raise DeploymentError or EndpointError when there is no use in going on; looks every `LIVENESS_S` seconds."""
        if time.monotonic() - self.looked < LIVENESS_S:
            return
        self.looked = time.monotonic()
        if self.snakemake is not None and not is_alive(*self.snakemake):
            raise EndpointError("Snakemake is gone")
        if ended := self.session.ended():
            raise EndpointError(ended)
        for deployment in self.servers:
            refuse_stopped(self.paths.server(deployment), deployment)
        self.check_servers()

    def check_servers(self) -> None:
        """Raise EndpointError when a server that the attempt began with is gone or is another process now."""
        for deployment, server in self.servers.items():
            if server is not None:
                self._check(deployment, server)

    def _check(self, deployment: str, server: Server) -> None:
        now = self.backend.state(deployment)
        comes_back = now.state is ServerState.PENDING or now.incarnation != server.incarnation
        if comes_back and now.lives and now.server_id == server.server_id:
            raise _ServerComesBack(f"the server of {deployment} was interrupted ({now.reason})")
        same = (now.server_id, now.generation) == (server.server_id, server.generation)
        if not now.lives or not same:
            known = now.reason or "it was started again"
            reason = known if now.lives else self.backend.cause(deployment, known)
            raise EndpointError(
                f"the server of {deployment} died while the task ran ({reason}); "
                f"the end of its log:\n{self.backend.log_tail(deployment)}"
            )


@dataclass
class _Job:
    config: Config
    task: Task
    endpoint: Endpoint
    folder: Path
    harness: Harness
    watch: _Watch
    log: IO[str]
    say: Say
    count: Count
    keys: Mapping[str, str] = field(default_factory=dict, repr=False)


def _run(job: _Job) -> None:
    """Run the harness to its end; raise what `Harness.failure` makes of a bad one."""
    lock = harness_lock(job.task)
    python = ensure_environment(lock) if lock else Path()
    command = job.harness.command(job.task, job.endpoint, job.folder, python, job.config)
    own = resolve_env(job.task.env_vars, os.environ | job.keys)
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
        report = _Report(job.say)
        while process.poll() is None:
            job.watch.check()
            progress = job.harness.progress(job.folder)
            job.count(progress)
            report.update(progress)
            time.sleep(POLL_S)
    job.count(job.harness.progress(job.folder))
    if process.returncode != 0:
        # A dead server explains a failed harness better than the harness can.
        job.watch.check_servers()
        said = last_lines(Path(job.log.name), since=before)
        raise (
            failed_command(job.folder)
            or failed_start(job.config, job.task, job.folder, process.returncode, said)
            or job.harness.failure(job.folder, process.returncode)
        )


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


class _Report:
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


def _snakemake_process() -> tuple[int, float] | None:
    for parent in psutil.Process().parents():
        try:
            if any("snakemake" in Path(word).name for word in parent.cmdline()[:3]):
                return parent.pid, parent.create_time()
        except psutil.Error:
            continue
    return None
