"""The executor: submits, watches and cancels; decisions are in states.py, specifications in jobs.py."""

import asyncio
import contextlib
import shlex
import threading
import time
from collections.abc import AsyncGenerator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from snakemake_interface_common.exceptions import WorkflowError
from snakemake_interface_executor_plugins.executors.base import SubmittedJobInfo
from snakemake_interface_executor_plugins.executors.remote import RemoteExecutor

from .api import Lepton
from .jobs import JobSpec, command_of, identity_of, image_of, job_name, workdir_prefix
from .logs import save_log
from .model import Failure, LeptonError
from .patience import Patience
from .plan import Plan
from .signals import hold_signals, take_signals
from .states import ENDED, SUCCEEDED, Judgement, Verdict, Watched, judge, news, wants_reason

SUBMITTERS = 8
CANCELLERS = 16
CANCEL_TRIES = 3
# Each is a request of its own, and jobs that wait together mostly wait for the same.
REASONS_PER_POLL = 20
STEP_S = 0.2


class Executor(RemoteExecutor):
    """See the package; one instance per call of Snakemake."""

    def __post_init__(self) -> None:
        """Check everything that the run names before anything is created."""
        self._settings = self.workflow.executor_settings
        self._workdir = Path.cwd()
        self._lepton: Lepton | None = None
        self._adoptable: dict[str, str] = {}
        self._group_ids: dict[str, str] = {}
        # The base class's list is empty while it checks: a Ctrl-C in that moment would cancel nothing.
        self._live: dict[str, Watched] = {}
        self._names: set[str] = set()
        self._cancelled = threading.Event()
        self._pause_s: float | None = None
        self._polling = Patience({Failure.UNAUTHORIZED: self._settings.token_grace})
        try:
            self._plan = Plan.of(self._settings, self.envvars())
        except ValueError as error:
            raise WorkflowError(f"--lepton settings: {error}") from None
        remote = [job for job in self.workflow.dag.needrun_jobs() if not job.is_local]
        if remote:
            self._plan.check(remote)

    def get_python_executable(self) -> str:
        """Return the interpreter of jobs."""
        return str(self._settings.python or super().get_python_executable())

    def get_job_exec_prefix(self, job: Any) -> str:
        """Have Snakemake's own `python` (it fetches the workflow's sources where they are not shared) mean ours too."""
        python = self._settings.python
        return f'python() {{ {shlex.quote(python)} "$@"; }}' if python else ""

    def run_job(self, job: Any) -> None:
        """Submit one job."""
        self.run_jobs([job])

    def run_jobs(self, jobs: Sequence[Any]) -> None:
        """Submit jobs side by side; what is refused fails at once, with Lepton's words."""
        lepton = self._connect()
        prepared: list[tuple[Any, str, dict[str, Any]]] = []
        for job in jobs:
            self.run_job_pre(job)
            try:
                prepared.append((job, *self._prepare(job)))
            except Exception as error:
                # Whatever it is, only this job fails by it: Snakemake runs no hooks when its executor does.
                self.report_job_error(SubmittedJobInfo(job), msg=f"{type(error).__name__}: {error}. ")
        with ThreadPoolExecutor(SUBMITTERS) as pool:
            try:
                futures = [pool.submit(self._submit, lepton, name, spec) for _, name, spec in prepared]
                for (job, _, _), future in zip(prepared, futures, strict=True):
                    try:
                        watched = future.result()
                    except LeptonError as error:
                        self.report_job_error(SubmittedJobInfo(job), msg=f"Lepton refused the job: {error}. ")
                    else:
                        self.report_job_submission(SubmittedJobInfo(job, watched.job_id, {"watched": watched}))
            except BaseException:
                self._cancelled.set()
                raise

    async def check_active_jobs(self, active_jobs: list[SubmittedJobInfo]) -> AsyncGenerator[SubmittedJobInfo, None]:
        """Look at all jobs with one list call; yields those that go on."""
        if not active_jobs:
            return
        async with self.status_rate_limiter:
            states = self._states()
        questions = REASONS_PER_POLL
        for info in active_jobs:
            assert info.aux is not None
            watched = info.aux["watched"]
            if states is None:
                yield info
                continue
            state = states.get(watched.job_id)
            now = time.monotonic()
            if questions and wants_reason(watched, state, now, self._settings.reason_interval):
                questions -= 1
                self._ask_reason(watched, now)
            judgement = judge(watched, state, now, self._settings.start_timeout)
            if judgement.verdict is not Verdict.GOES_ON:
                self._finish(info, watched, judgement)
                continue
            if (line := news(watched)) is not None:
                self.logger.info(line)
            yield info

    async def sleep(self) -> None:
        """Wait for the next check; ends at once when the executor is shut down."""
        pause_s = self._pause_s or self.workflow.remote_execution_settings.seconds_between_status_checks
        until = time.monotonic() + pause_s
        while self.wait and time.monotonic() < until:
            await asyncio.sleep(STEP_S)

    def cancel_jobs(self, active_jobs: list[SubmittedJobInfo]) -> None:
        """Delete every job of this call, also one whose submission was just under way."""
        self._cancelled.set()
        hold_signals()
        if self._lepton is None:
            return
        known = list(self._live)
        with ThreadPoolExecutor(CANCELLERS) as pool:
            gone = list(pool.map(self._cancel, known))
        left = {job_id for job_id, done in zip(known, gone, strict=True) if not done}
        with contextlib.suppress(LeptonError):
            rows = self._lepton.jobs(self._prefix)
            stray = [row.job_id for row in rows if row.name in self._names and _lives(row.state)]
            left |= {job_id for job_id in stray if not self._cancel(job_id)}
        if left:
            names = " ".join(sorted(left))
            self.logger.error(f"{len(left)} Lepton jobs could not be cancelled, delete them later: {names}")

    def _connect(self) -> Lepton:
        """Return the client; at the first call also look which jobs of this place still live, and take the signals."""
        if self._lepton is None:
            try:
                lepton = Lepton()
                self._prefix = workdir_prefix(self._workdir, self._workdir / ".snakemake")
                self._adoptable = {row.name: row.job_id for row in lepton.jobs(self._prefix) if _lives(row.state)}
                self._group_ids = {group.name: group.group_id for group in lepton.node_groups()}
            except LeptonError as error:
                raise WorkflowError(f"Lepton: {error}") from None
            self._lepton = lepton
            take_signals()
        return self._lepton

    def _prepare(self, job: Any) -> tuple[str, dict[str, Any]]:
        settings, resources = self._settings, job.resources
        image = image_of(job, settings.image)
        if image is None:
            raise WorkflowError(f"rule {job.name} has no container: and there is no --lepton-image")
        group = resources.get("lepton_node_group", settings.node_group)
        if group and group not in self._group_ids:
            raise WorkflowError(f"node group {group} does not exist; there are: {', '.join(sorted(self._group_ids))}")
        workdir = self._workdir if self.workflow.storage_settings.assume_common_workdir else None
        runtime = resources.get("runtime")
        spec = JobSpec(
            image=image,
            command=command_of(self.format_job_exec(job), workdir, int(runtime) if runtime else None),
            resource_shape=resources.get("lepton_resource_shape", settings.resource_shape),
            group_id=self._group_ids[group] if group else None,
            mounts=self._plan.mounts,
            secrets=self._plan.secrets,
            env=self._plan.env,
            image_pull_secrets=settings.image_pull_secrets or [],
            shared_memory_mb=resources.get("lepton_shared_memory_mb", settings.shared_memory_mb),
            priority_class=resources.get("lepton_priority_class", settings.priority_class),
        )
        return job_name(self._prefix, job.name, identity_of(job)), spec.spec()

    def _submit(self, lepton: Lepton, name: str, spec: dict[str, Any]) -> Watched:
        """Adopt the living job of this name, or create one; repeats while Lepton is away. Runs in a thread."""
        self._names.add(name)
        if (adopted := self._adoptable.pop(name, None)) is not None:
            self.logger.info(f"Lepton job {adopted} of an earlier call still lives: adopted")
            return self._note(adopted, name)
        limits = {Failure.UNAVAILABLE: self._settings.outage_grace, Failure.UNAUTHORIZED: self._settings.token_grace}
        patience = Patience(limits)
        while True:
            try:
                if patience.failure is not None:
                    lepton.renew()
                    # The answer may have been lost on its way: the job is looked for before it is made again.
                    for row in lepton.jobs(name):
                        if _lives(row.state) and row.job_id not in self._live:
                            return self._note(row.job_id, name)
                return self._note(lepton.create_job(name, {"snakemake": self._prefix.strip("-")}, spec), name)
            except LeptonError as error:
                delay_s = patience.failed(error)
                self.logger.warning(f"Lepton did not take a job ({error}); again in {delay_s:.0f} s")
                if self._cancelled.wait(delay_s):
                    raise

    def _note(self, job_id: str, name: str) -> Watched:
        watched = Watched(job_id, name, time.monotonic())
        self._live[job_id] = watched
        return watched

    def _states(self) -> dict[str, str] | None:
        """Return the state of every job, None while Lepton cannot be asked; ends the call when its token stays bad."""
        assert self._lepton is not None
        try:
            if self._polling.failure is Failure.UNAUTHORIZED:
                self._lepton.renew()
            states = {row.job_id: row.state for row in self._lepton.jobs(self._prefix)}
        except LeptonError as error:
            self._bear(error)
            return None
        if self._polling.worked():
            self.logger.info("Lepton answers again")
        self._pause_s = None
        return states

    def _bear(self, error: LeptonError) -> None:
        """Say that Lepton cannot be asked and ask less often; jobs run on meanwhile, so only a bad token ends it."""
        bad_token = error.failure is Failure.UNAUTHORIZED
        # An answer that makes no sense says as little about the jobs as none.
        error = error if bad_token else LeptonError(Failure.UNAVAILABLE, str(error))
        first = self._polling.failure is not error.failure
        try:
            self._pause_s = self._polling.failed(error)
        except LeptonError:
            grace_s = self._settings.token_grace
            raise WorkflowError(
                f"Lepton has refused the token for --lepton-token-grace ({grace_s} s): {error}. "
                f"{len(self._live)} jobs run on; with a new token the same command adopts them"
            ) from None
        if first and bad_token:
            self.logger.warning(f"Lepton refuses the token ({error}): run `lep login` with a new one; waiting for it")
        elif first:
            self.logger.warning(f"Lepton cannot be asked ({error}); the jobs run on")

    def _ask_reason(self, watched: Watched, now: float) -> None:
        assert self._lepton is not None
        watched.asked = now
        try:
            watched.issue = self._lepton.job_issue(watched.job_id)
        except LeptonError as error:
            self.logger.debug(f"no reason for {watched.job_id}: {error}")

    def _finish(self, info: SubmittedJobInfo, watched: Watched, judgement: Judgement) -> None:
        assert self._lepton is not None
        failed = judgement.verdict is Verdict.FAILED
        log = save_log(self._lepton, info.job, watched, judgement.message if failed else None, self._workdir)
        if failed:
            self.report_job_error(info, msg=f"{judgement.message}. ", aux_logs=[str(log)] if log else [])
        else:
            self.report_job_success(info)
        self._live.pop(watched.job_id, None)
        if not (failed and self._settings.keep_failed_jobs):
            try:
                self._lepton.delete_job(watched.job_id)
            except LeptonError as error:
                self.logger.warning(f"Lepton job {watched.job_id} could not be deleted: {error}")

    def _cancel(self, job_id: str) -> bool:
        """Return whether the job is gone."""
        assert self._lepton is not None
        for number in range(CANCEL_TRIES):
            try:
                self._lepton.delete_job(job_id)
            except LeptonError:
                time.sleep(STEP_S * 2**number)
            else:
                self._live.pop(job_id, None)
                return True
        return False


def _lives(state: str) -> bool:
    return state not in (*SUCCEEDED, *ENDED)
