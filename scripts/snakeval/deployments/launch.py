"""Renders the scripts that start servers, and tasks in containers; the only place where a server's command is made."""

import re
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from snakeval import __version__
from snakeval.config.engines import weights_name
from snakeval.config.model import Deployment, Execution
from snakeval.deployments.containers import Container, container_of, options_inside
from snakeval.deployments.instances import ROUTER_LOCK
from snakeval.deployments.types import deployment_type, environment_lock, launch_template
from snakeval.run.paths import ServerPaths
from snakeval.system.checkout import PROGRAMS, TEMPLATES
from snakeval.system.environments import environment_name, environment_python
from snakeval.system.processes import Mark

SERVERS = Path(__file__).parent / "programs"
GUARD = TEMPLATES / "launch" / "container" / "guard.sh"


@dataclass(frozen=True)
class Placement:
    """What the backend decides about a server.

    Attributes:
        host: Address to bind, "auto" for the address of the machine on which the server will run.
        advertise: Host name or address under which tasks reach it; "auto" as above.
        server_id: Unique for each start by Snakeval.
        batch_options: Options of the batch system, one a line at the head of the script.
        supervisor_options: More words of the supervisor's command line.
        platform_port: The fixed port of a platform that itself runs the image, restarts the server and asks clients for
            their key. The script is then the container's command, without supervisor and key. None elsewhere.
    """

    host: str
    advertise: str
    server_id: str
    batch_options: tuple[str, ...] = ()
    supervisor_options: tuple[str, ...] = ()
    platform_port: int | None = None


def health_path(deployment: Deployment) -> str | None:
    """Return the path that answers 200 when the model is loaded: the deployment's own, else its type's."""
    own: str | None = deployment.options.get("health_path", deployment_type(deployment.type).health_path)
    return own


def render_launch_script(
    run: str, deployment: Deployment, execution: Execution, paths: ServerPaths, placement: Placement
) -> str:
    """Return the launch script as text; every value reaches the shell quoted.

    Raises:
        ExtensionError: the type has no template.
        jinja2.UndefinedError: the template asks for a key that the type's schema does not have.
    """
    lock = environment_lock(deployment)
    container = container_of(deployment, execution)
    if container is not None:
        deployment = replace(deployment, options=options_inside(deployment))
    return (
        _templates()
        .get_template(launch_template(deployment.type))
        .render(
            run=run,
            labels={"run": run, "deployment": deployment.name},
            version=__version__,
            deployment=deployment,
            options=deployment.options,
            model=_model(deployment),
            own_model_name=_own_model_name(deployment),
            num_nodes=execution.nodes_per_instance,
            sglang_launcher=(SERVERS / "sglang_launcher.py").read_text(encoding="utf-8"),
            python=sys.executable,
            supervisor=PROGRAMS / "supervise.py",
            servers=SERVERS,
            environment_python=environment_python(environment_name(lock)) if lock else None,
            environment_bin=environment_python(environment_name(lock)).parent if lock else None,
            folder=paths.folder.absolute(),
            script=paths.launch_script.absolute(),
            health_path=health_path(deployment),
            idle_timeout_s=execution.idle_timeout_s,
            max_restarts=execution.max_restarts,
            host=placement.host,
            advertise=placement.advertise,
            mark=Mark.of(paths.folder, placement.server_id),
            batch_options=placement.batch_options,
            supervisor_options=placement.supervisor_options,
            num_instances=execution.num_instances,
            front=PROGRAMS / "instances.py",
            router_python=environment_python(environment_name(ROUTER_LOCK)),
            readiness_timeout_s=execution.readiness_timeout_s,
            platform_port=placement.platform_port,
            container=container,
            guard=GUARD,
        )
    )


def render_task_script(labels: Mapping[str, str], container: Container, command: Sequence[str]) -> str:
    """Return the script that runs a task's command in its container.

    Args:
        labels: What the container is labelled with: run, deployment and task.
        container: The container.
        command: The command line within it.
    """
    return (
        _templates()
        .get_template("task.sh.j2")
        .render(labels=labels, version=__version__, container=container, command=command, num_nodes=1, guard=GUARD)
    )


def batch_option(option: str) -> str:
    """Return `--name=value` as sbatch reads it from a script: in double quotes when it is more than a plain word."""
    name, equals, value = option.partition("=")
    if not equals or re.fullmatch(r"[\w./:@,+&|*()\[\]=-]*", value, re.ASCII):
        return option
    quoted = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'{name}="{quoted}"'


def _model(deployment: Deployment) -> str | None:
    """Return the weights as an engine takes them: an absolute path, which a container sees too, or a hub id."""
    path, handle = deployment.checkpoint_path, deployment.hub_id
    if path is not None:
        return str(Path(path).absolute())
    return f"hf://{handle}" if handle is not None and deployment.type == "nim" else handle


def _own_model_name(deployment: Deployment) -> str | None:
    path = deployment.checkpoint_path
    return weights_name(path) if path is not None else deployment.hub_id


def _templates() -> Environment:
    # Autoescape is for HTML; here every value passes through the `sh` filter.
    environment = Environment(loader=FileSystemLoader(TEMPLATES), undefined=StrictUndefined, keep_trailing_newline=True)
    environment.filters["sh"] = lambda value: shlex.quote(str(value))
    environment.filters["batch"] = batch_option
    environment.filters["comment"] = lambda value: " ".join(str(value).split())
    return environment
