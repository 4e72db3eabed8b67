"""The state of a deployment's server, from the backend and from what rules deploy and ready left."""

from snakeval.backends.base import Backend
from snakeval.commands.status.model import Scene, ServerStatus
from snakeval.config.model import Deployment
from snakeval.deployments.types import deployment_type
from snakeval.errors import SnakevalError
from snakeval.run.attempt import first_line
from snakeval.run.failures import FailedStarts
from snakeval.run.paths import ServerPaths
from snakeval.run.server import Server, ServerRecord, ServerState


def server_status(
    deployment: Deployment, files: ServerPaths, backend: Backend, scene: Scene, refused: str | None
) -> ServerStatus:
    """Return the state of one server.

    Args:
        deployment: What it serves.
        files: Where its files are.
        backend: Where it runs.
        scene: What is known of the run.
        refused: Why rule deploy refused the deployment, None when it did not.
    """
    name, type_name = deployment.name, deployment.type
    if not deployment_type(type_name).has_server:
        return ServerStatus(name, type_name, None, deployment.options["base_url"], None, None, refused, None)
    record = ServerRecord.read(files.state)
    try:
        server = backend.state(name)
        state, reason = _told(server, record, files, scene, refused)
    except SnakevalError as error:
        server, state, reason = Server(ServerState.STOPPED), None, first_line(str(error))
    return ServerStatus(
        deployment=name,
        type=type_name,
        state=state,
        address=server.url or (f"{server.host}:{server.port}" if server.host and server.port else None),
        age_s=_age_s(record, server.lives, scene.now),
        restarts=record.restarts if record else None,
        reason=reason,
        log=str(files.log),
    )


def _told(
    server: Server, record: ServerRecord | None, files: ServerPaths, scene: Scene, refused: str | None
) -> tuple[ServerState, str | None]:
    """Return state and reason; a server that could not be started has failed, although it was stopped afterwards."""
    if server.lives:
        return server.state, server.reason if scene.session_lives else "left over: `snakeval stop` ends it"
    if refused is not None:
        return ServerState.FAILED, refused
    message = _failed_start(files, record, scene)
    if message is not None:
        return ServerState.FAILED, message
    if server.server_id is None:
        return server.state, "not started yet" if scene.session_lives else "never started"
    return server.state, server.reason


def _failed_start(files: ServerPaths, record: ServerRecord | None, scene: Scene) -> str | None:
    """Return why the server could not be started in this session; None when it could be, if need be later."""
    failures = FailedStarts.read(files.failures)
    if failures is None or scene.session is None or failures.session != scene.session.name:
        return None
    if record is not None and files.failures.stat().st_mtime < (record.started_at or 0.0):
        return None
    return first_line(failures.message)


def _age_s(record: ServerRecord | None, lives: bool, now: float) -> float | None:
    if record is None or record.started_at is None:
        return None
    until = now if lives or record.updated_at is None else record.updated_at
    return max(0.0, until - record.started_at)


def refusal(files: ServerPaths) -> str | None:
    """Return why rule deploy refused the deployment, which it does once and for all tasks; None when it did not."""
    if files.deployment.exists():
        return None
    try:
        text = files.deploy_log.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    return first_line(text) if text.startswith("error:") else None
