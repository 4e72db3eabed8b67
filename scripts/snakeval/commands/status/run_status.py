"""The state of a run, from its files and one question to its backend. It writes nothing."""

import time

from snakeval.backends import backend_of
from snakeval.backends.base import Backend
from snakeval.commands.status.model import RunStatus, Scene, ServerStatus, TaskState, TaskStatus
from snakeval.commands.status.servers import refusal, server_status
from snakeval.commands.status.tasks import task_status
from snakeval.config.model import Config, Deployment, Task
from snakeval.run.attempt import Attempt, Course
from snakeval.run.paths import RunPaths
from snakeval.run.session import read_session

__all__ = ["RunStatus", "ServerStatus", "TaskState", "TaskStatus", "run_status"]


def run_status(config: Config, now: float | None = None, backend: Backend | None = None) -> RunStatus:
    """Return the state of a run.

    It reads a few small files per deployment and one per task. It asks the backend's batch system once, if there is
    one.

    Args:
        config: The run.
        now: Seconds since the epoch; the present when it is not given.
        backend: The backend to ask; the run's own when it is not given. A backend that is kept between calls asks no
            more often than it must.
    """
    now = time.time() if now is None else now
    paths = RunPaths(config.folder)
    backend = backend or backend_of(config)
    session = read_session(paths)
    lives = session is not None and session.lives
    scene = Scene(session, lives, now)
    servers, tasks = [], []
    for deployment in config.deployments:
        files = paths.server(deployment.name)
        refused = refusal(files)
        servers.append(server_status(deployment, files, backend, scene, refused))
        for task in config.tasks:
            where = paths.task(deployment.name, task.name)
            lacks = refused or _lacking(paths, deployment, task, scene)
            tasks.append(task_status(deployment, task, where, scene, lacks))
    for auxiliary in config.auxiliaries:
        files = paths.server(auxiliary.name)
        servers.append(server_status(auxiliary, files, backend, scene, refusal(files)))
    return RunStatus(config.run, str(paths.root), now, session, lives, tuple(servers), tuple(tasks))


def _lacking(paths: RunPaths, deployment: Deployment, task: Task, scene: Scene) -> str | None:
    """Return why an auxiliary deployment is not there for the task, None when it is or may still come."""
    for name in task.auxiliaries:
        if refused := refusal(paths.server(name)):
            return f"auxiliary deployment {name}: {refused}"
        attempt = Attempt.read(paths.auxiliary(name, deployment.name, task.name).attempt)
        if attempt is None or scene.is_earlier(attempt) or attempt.course is not Course.FAILED:
            continue
        if not scene.session_lives or attempt.attempt >= attempt.last_attempt:
            return f"auxiliary deployment {name}: {attempt.reason}"
    return None
