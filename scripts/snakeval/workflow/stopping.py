"""Stops a run, or one deployment of it, from outside of the Snakemake that works on it."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from snakeval.backends import backend_of
from snakeval.backends.base import Backend
from snakeval.config.model import Config, Deployment
from snakeval.deployments.types import deployment_type
from snakeval.errors import DeploymentError, Problem, UsageError
from snakeval.run.paths import STATE_DIR, RunPaths, ServerPaths, run_lock
from snakeval.run.session import SessionRecord, StopMark, read_session, works_on
from snakeval.system.files import HeldLock
from snakeval.system.polling import Reminder, rounds
from snakeval.system.say import Say

POLL_S = 0.2
PATIENCE_S = 300.0
START_PATIENCE_S = 60.0


def stop_run(config: Config, say: Say) -> None:
    """End the Snakemake that works on the run as Ctrl-C does, then every server that is left; safe to call twice.

    Raises:
        UsageError: it runs on another machine, or does not end.
    """
    paths = RunPaths(config.folder)
    session = read_session(paths)
    if session is not None and session.lives and works_on(session, paths):
        _end_snakemake(session, say)
        told = read_session(paths)
        say(f"Snakemake (process {session.pid}) has ended: {(told and told.outcome) or 'killed'}")
    else:
        say(f"no Snakemake works on run {config.run}")
    with _owned(config, session):
        backend = backend_of(config)
        for deployment in config.served:
            if deployment_type(deployment.type).has_server:
                _stop_server(backend, deployment.name, say)


def stop_deployment(config: Config, deployment: Deployment, say: Say) -> None:
    """End one deployment's server, and have its other tasks fail in the present session; safe to call twice.

    The Snakemake that works on the run goes on with the other deployments. The next call of it runs the tasks again.

    Raises:
        DeploymentError: the server does not end.
    """
    paths = RunPaths(config.folder)
    files = paths.server(deployment.name)
    session = read_session(paths)
    runs = session is not None and session.lives
    if session is not None and runs:
        StopMark(session.name).write(files.stopped)
    if deployment_type(deployment.type).has_server:
        backend = backend_of(config)
        _stop_server(backend, deployment.name, say)
        if runs:
            _await_starts(backend, deployment.name, files)
    if runs:
        say(f"the tasks of {deployment.name} fail in this run; the next call of Snakemake runs them again")


def _end_snakemake(session: SessionRecord, say: Say) -> None:
    if not session.is_here:
        raise UsageError(
            Problem(
                "the run",
                "is worked on by a Snakemake of another machine",
                f"process {session.pid} on {session.machine}",
                f"a Snakemake on this machine ({os.uname().nodename})",
                f"give the same command on {session.machine}",
            )
        )
    say(f"ending Snakemake (process {session.pid}), its jobs and its servers")
    try:
        os.kill(session.pid, signal.SIGINT)
    except ProcessLookupError:
        return
    reminder = Reminder(say)
    for waited_s in rounds(POLL_S, PATIENCE_S):
        if not _still_there(session):
            return
        reminder.remind(f"waiting for Snakemake (process {session.pid}) to end, {waited_s:.0f} s")
    raise UsageError(
        Problem(
            f"Snakemake (process {session.pid})",
            f"has not ended within {PATIENCE_S:.0f} s",
            "it still runs",
            "an end, as after Ctrl-C",
            f"kill -KILL {session.pid}, then this command again: it stops the servers that are left",
        )
    )


def _still_there(session: SessionRecord) -> bool:
    try:
        process = psutil.Process(session.pid)
        same = abs(process.create_time() - session.process_start) < 1.0
        return bool(same and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False


@contextmanager
def _owned(config: Config, session: SessionRecord | None) -> Iterator[None]:
    """Hold the lock of the run, so that no Snakemake begins to start servers while they are stopped."""
    directory = Path(session.directory) if session is not None and session.is_here else Path()
    file = run_lock(directory / STATE_DIR, config.run)
    lock = HeldLock(file)
    # Where Snakemake never ran there is no lock to take, and no folder to leave behind.
    if file.parent.is_dir() and not lock.acquire():
        raise UsageError(
            Problem(
                f"run {config.run}",
                "is being worked on by a Snakemake that has just begun",
                "its lock is taken",
                "nobody at work on it",
                "give the same command again",
            )
        )
    try:
        yield
    finally:
        lock.release()


def _stop_server(backend: Backend, name: str, say: Say) -> None:
    """Stop a server, and say so when there was one."""
    before = backend.state(name)
    backend.stop(name)
    if before.lives:
        address = before.url or (f"{before.host}:{before.port}" if before.host else None)
        where = f" on {address}" if address else ""
        say(f"the server of {name}{where} has ended")
    else:
        say(f"no server of {name} is left")


def _await_starts(backend: Backend, name: str, files: ServerPaths) -> None:
    """Stop what a job still starts that had looked before the mark was there: such jobs hold the lock of the server."""
    lock = HeldLock(files.lock)
    for _ in rounds(POLL_S, START_PATIENCE_S):
        if lock.acquire():
            break
        if backend.state(name).lives:
            backend.stop(name)
    else:
        raise DeploymentError(f"the server of {name} is still being started; give the same command again")
    try:
        if backend.state(name).lives:
            backend.stop(name)
    finally:
        lock.release()
