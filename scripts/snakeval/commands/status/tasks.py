"""The state of a task, from its result, its latest attempt, and the Snakemake that works on the run."""

from dataclasses import replace

from snakeval.commands.status.model import Scene, TaskState, TaskStatus
from snakeval.config.model import Deployment, Task
from snakeval.results.result import Result
from snakeval.run.attempt import Attempt, Course, Stage, evaluation_fingerprint
from snakeval.run.paths import TaskPaths
from snakeval.run.session import FAILED


def task_status(
    deployment: Deployment, task: Task, files: TaskPaths, scene: Scene, refused: str | None = None
) -> TaskStatus:
    """Return the state of one task.

    Args:
        deployment, task: What is evaluated.
        files: Where its files are.
        scene: What is known of the run.
        refused: Why the deployment, or one that the task uses, cannot be served in this session, None when it can.
    """
    attempt = Attempt.read(files.attempt)
    fingerprint = evaluation_fingerprint(deployment.fingerprint, task.fingerprint)
    plain = TaskStatus(deployment.name, task.name, TaskState.QUEUED)
    if files.result.exists():
        return _with_result(plain, files, attempt, fingerprint)
    if attempt is None or attempt.fingerprint != fingerprint or scene.is_earlier(attempt):
        if refused is not None:
            return replace(plain, state=TaskState.FAILED, reason=refused)
        return replace(plain, reason=_before(attempt, fingerprint))
    state, reason = _state_of(attempt, scene)
    if refused is not None and state is TaskState.QUEUED:
        state, reason = TaskState.FAILED, refused
    known = replace(_attempted(plain, attempt, files), state=state, reason=reason)
    if state is TaskState.RUNNING:
        return replace(known, rate_per_s=attempt.rate_per_s, remaining_s=_remaining_s(attempt))
    return known


def _with_result(plain: TaskStatus, files: TaskPaths, attempt: Attempt | None, fingerprint: str) -> TaskStatus:
    """A result that belongs to the configuration is a success; one of other settings will be made again."""
    if attempt is not None and attempt.course is Course.SUCCEEDED and attempt.stage is Stage.EVALUATE:
        same, known = attempt.fingerprint == fingerprint, _attempted(plain, attempt, files)
    elif (result := Result.read(files.result)) is not None:
        marks, samples = result.fingerprint, result.samples
        same = evaluation_fingerprint(marks.deployment, marks.task) == fingerprint
        known = replace(
            plain, done=samples.answered, total=samples.asked, attempt=result.times.attempt, log=str(files.log)
        )
    else:
        same, known = False, plain
    if same:
        return replace(known, state=TaskState.SUCCEEDED)
    return replace(plain, reason="its settings have changed since its result")


def _state_of(attempt: Attempt, scene: Scene) -> tuple[TaskState, str | None]:
    """Return the state of a task without a result from its latest attempt, and what to say of it."""
    more = scene.session_lives and attempt.attempt < attempt.last_attempt
    match attempt.course:
        case Course.RUNNING if attempt.lives(scene.now):
            waiting = attempt.stage is Stage.READY
            return (TaskState.QUEUED, "waiting for its server") if waiting else (TaskState.RUNNING, None)
        case Course.RUNNING if scene.session_lives or (scene.session and scene.session.outcome == FAILED):
            reason = f"attempt {attempt.attempt} was killed"
            return (TaskState.QUEUED if more else TaskState.FAILED), reason
        case Course.RUNNING | Course.INTERRUPTED:
            return TaskState.QUEUED, "interrupted"
        case Course.FAILED if more:
            return TaskState.QUEUED, f"attempt {attempt.attempt} failed: {attempt.reason}"
        case Course.FAILED:
            return TaskState.FAILED, attempt.reason
        case Course.SUCCEEDED if attempt.stage is Stage.READY:
            return TaskState.QUEUED, "its server is ready" if scene.session_lives else "interrupted"
        case _:
            return TaskState.QUEUED, "its result was deleted"


def _before(attempt: Attempt | None, fingerprint: str) -> str | None:
    if attempt is None:
        return None
    return "to be tried again" if attempt.fingerprint == fingerprint else "its settings have changed"


def _attempted(plain: TaskStatus, attempt: Attempt, files: TaskPaths) -> TaskStatus:
    """Return the status with what an attempt knows."""
    log = files.ready_log if attempt.stage is Stage.READY else files.log
    return replace(
        plain,
        done=attempt.done,
        total=attempt.total,
        attempt=attempt.attempt,
        last_attempt=attempt.last_attempt,
        log=str(log),
    )


def _remaining_s(attempt: Attempt) -> float | None:
    rate = attempt.rate_per_s
    if not rate or attempt.done is None or attempt.total is None:
        return None
    return (attempt.total - attempt.done) / rate
