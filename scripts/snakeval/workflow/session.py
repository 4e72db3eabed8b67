"""What the main Snakemake process does around the DAG: repair what an earlier one left, stop servers at the end."""

import atexit
import json
import os
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path

import psutil
import yaml

from snakeval.backends import attendant_of, backend_of, backend_problems
from snakeval.backends.base import Attendant
from snakeval.config.model import Config
from snakeval.deployments.types import deployment_type
from snakeval.errors import DeploymentError
from snakeval.harnesses.availability import harness_problems
from snakeval.results.result import Result
from snakeval.run.heartbeat import Heartbeat
from snakeval.run.paths import RunPaths, finished_tasks, run_lock
from snakeval.run.session import FAILED, INTERRUPTED, SessionRecord, keep_run_open
from snakeval.system.files import HeldLock, write_text
from snakeval.system.periodic import Periodic
from snakeval.system.processes import SESSION_VARIABLE, end_processes
from snakeval.workflow.abandoned import AbandonedLeases

ENDING_S = 0.2
ENDING_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Session:
    """One call of Snakemake on one run.

    Args:
        config: The run.
        state_dir: Snakemake's own folder, `.snakemake` of the working directory.
    """

    def __init__(self, config: Config, state_dir: Path) -> None:
        self._config = config
        self._state_dir = state_dir
        self._paths = RunPaths(config.folder)
        self._ending: Periodic | None = None
        self._heartbeat = Heartbeat(self._paths.session)
        self._record: SessionRecord | None = None
        self._abandoned: AbandonedLeases | None = None
        self._attendant: Attendant | None = None
        self._folder: int | None = None
        self._lock = HeldLock(run_lock(state_dir, config.run))

    def recover(self) -> None:
        """Forget the leases, locks and damaged results of earlier calls, so that the plan is right.

        Does nothing while a call runs.
        """
        if not self._lock.acquire():
            return
        try:
            for lease in self._paths.leases():
                lease.unlink(missing_ok=True)
            self._put_damaged_results_aside()
            # With the slash: run "demo" must not unlock what run "demo2" works on.
            root = f"{self._paths.root}/"
            for lock in self._state_dir.glob("locks/*.lock"):
                if any(line.startswith(root) for line in lock.read_text(encoding="utf-8").splitlines()):
                    lock.unlink(missing_ok=True)
        finally:
            self._lock.release()

    def _put_damaged_results_aside(self) -> None:
        """Give each result that cannot be used another name, so that its task is planned again."""
        for deployment in self._config.deployments:
            for task in finished_tasks(self._paths.root / deployment.name):
                if task.result.is_file() and Result.read(task.result) is None:
                    task.result.replace(task.damaged_result)

    def begin(self, attempts: int) -> None:
        """Hook onstart: own the run, and make every ending signal end the running jobs too.

        Args:
            attempts: How many times Snakemake tries a job of rule evaluate.

        Raises:
            RuntimeError: another Snakemake works on this run.
        """
        if not self._lock.acquire():
            raise RuntimeError(f"another Snakemake is working on run {self._config.run}")
        self._record = SessionRecord()
        os.environ[SESSION_VARIABLE] = self._record.name
        self._heartbeat.begin(self._record.name)
        self._record.write(self._paths.snakemake)
        self._folder = keep_run_open(self._paths)
        for server in self._paths.servers():
            # Those of an earlier call count no more, also for jobs that cannot tell one call from another.
            server.failures.unlink(missing_ok=True)
        self._abandoned = AbandonedLeases(attempts)
        self._abandoned.begin()
        self._attendant = attendant_of(self._config)
        if self._attendant is not None:
            self._attendant.begin()
        for number in ENDING_SIGNALS:
            signal.signal(number, self._interrupt)
        # Snakemake runs no hook when its executor dies by an exception.
        atexit.register(self.end)

    def end(self, outcome: str = FAILED) -> None:
        """Hooks onsuccess and onerror: stop every server of the run and drop the leases; safe to call twice.

        Args:
            outcome: "succeeded" or "failed", for those who look at the run later; a signal makes it "interrupted".
        """
        for number in ENDING_SIGNALS:
            signal.signal(number, _ignore)
        if self._ending is not None:
            self._ending.end()
        if self._abandoned is not None:
            self._abandoned.end()
        if self._attendant is not None:
            self._attendant.end()
        # Before the servers end: a task that still runs must not start one again.
        self._heartbeat.end()
        backend = backend_of(self._config)
        for deployment in self._config.served:
            if deployment_type(deployment.type).has_server:
                try:
                    backend.stop(deployment.name)
                except DeploymentError as error:
                    # The servers of the other deployments have to end all the same.
                    print(f"error: {error}", file=sys.stderr, flush=True)
        for lease in self._paths.leases():
            lease.unlink(missing_ok=True)
        if self._record is not None:
            said = outcome if self._ending is None else INTERRUPTED
            replace(self._record, ended_at=time.time(), outcome=said).write(self._paths.snakemake)
        if self._folder is not None:
            os.close(self._folder)
            self._folder = None
        self._lock.release()
        atexit.unregister(self.end)

    def _interrupt(self, _number: int, _frame: object) -> None:
        """End the jobs of this machine, then let Snakemake end as it does on Ctrl-C.

        Where the signal reaches a job as well, Snakemake may start the job's next attempt before it is itself
        interrupted, and would then wait for it: jobs are ended until `end` is reached. More signals change nothing.
        """
        for number in ENDING_SIGNALS:
            signal.signal(number, _ignore)
        self._ending = Periodic(_end_jobs, ENDING_S)
        self._ending.begin()
        raise KeyboardInterrupt


def _end_jobs() -> None:
    end_processes(psutil.Process().children(recursive=True), 10.0)


def _ignore(_number: int, _frame: object) -> None:
    """Stand in for SIG_IGN, which the processes that we start would inherit."""


def end_if_unusable(config: Config, as_jobs: bool) -> None:
    """End the process with status 1 and every finding when the backend, a harness or an export cannot be used.

    Args:
        config: The run.
        as_jobs: Whether every task is a job of a cluster, as the profile says.
    """
    # Not above: a plan and the jobs need none of it, and it is slow to import.
    from snakeval.results.exports.programs import export_problems

    problems = [*backend_problems(config), *harness_problems(config, as_jobs), *export_problems(config)]
    if problems:
        print("\n\n".join(map(str, problems)), file=sys.stderr)
        sys.exit(1)


def write_resolved_config(config: Config) -> None:
    """Write config.resolved.yaml: the effective configuration, secrets as names only."""
    paths = RunPaths(config.folder)
    write_text(paths.resolved_config, yaml.safe_dump(json.loads(json.dumps(config.resolved)), sort_keys=False))
