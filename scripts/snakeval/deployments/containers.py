"""What a container of a server or task is: its image, what it sees of the host, what to tell when it does not start."""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from snakeval.config.container_syntax import Mount, spelled_for
from snakeval.config.model import Deployment, Execution
from snakeval.config.reading.tree import Node
from snakeval.deployments.types import file_options, mounted_options

MAX_LINKS = 40
# For reaching model hubs from behind a proxy; they change no score.
PROXIES = ("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")
HANDED_OVER = ("SNAKEVAL_API_KEY", "SNAKEVAL_HOST", "SNAKEVAL_PORT")
_NVCR = """\
images of nvcr.io are pulled with an NGC API key, once their licence is accepted at catalog.ngc.nvidia.com;
  podman:    podman login nvcr.io --username '$oauthtoken' --password-stdin <<<"$NGC_API_KEY"
  apptainer: apptainer registry login --username '$oauthtoken' --password-stdin docker://nvcr.io <<<"$NGC_API_KEY"
  pyxis:     a line "machine nvcr.io login $oauthtoken password <key>" in ~/.config/enroot/.credentials (mode 0600)"""
_NO_PYXIS = "Slurm of this cluster has no pyxis; choose another execution.container_runtime (apptainer, podman)"
_NO_RUNTIME = "{} has to be on PATH of the machine that runs the container; execution.container_runtime chose it"
_NO_SHELL = "the image has to have /bin/sh, which starts the command in the container"


@dataclass(frozen=True)
class Container:
    """What a script needs to put a server, or a task, into a container.

    Attributes:
        runtime: "podman", "apptainer" or "pyxis".
        image: As the runtime spells it.
        mounts: Without the home folder; what lies below another one comes after it.
        mount_home: Whether the home folder is there too.
        arguments: More options of the runtime, as the user gave them.
        variables: Names of the environment variables that the container is given, those of the script aside.
        workdir: Where the command begins, None where the runtime begins it anyway.
        is_server: A server has the GPUs, and the user that its image names. What a task writes belongs to the caller.
        step: Options of srun that say where pyxis runs it, None for the node that the script runs on.
    """

    runtime: str
    image: str
    mounts: tuple[Mount, ...]
    mount_home: bool
    arguments: tuple[str, ...]
    variables: tuple[str, ...]
    workdir: str | None = None
    is_server: bool = True
    step: tuple[str, ...] | None = None


def container_runtime(deployment: Deployment, execution: Execution) -> str | None:
    """Return what runs the deployment's container, None when its server runs on the host."""
    return execution.container_runtime if deployment.is_in_container else None


def container_of(deployment: Deployment, execution: Execution) -> Container | None:
    """Return the container of a deployment's server, None when it runs on the host; looks at links of a checkpoint."""
    runtime = container_runtime(deployment, execution)
    if runtime is None:
        return None
    own = [mount for path in _own_files(deployment).values() for mount in mounts_of(Path(path))]
    for key, target in mounted_options(deployment.type).items():
        if deployment.options[key]:
            own.append(Mount(_absolute(deployment.options[key]), target, read_only=False))
    devices = () if runtime == "podman" else ("CUDA_VISIBLE_DEVICES",)
    return Container(
        runtime=runtime,
        image=spelled_for(runtime, deployment.image),
        mounts=tuple(dict.fromkeys([*own, *execution.server_mounts])),
        mount_home=execution.mounts_home,
        arguments=execution.container_args,
        variables=(*HANDED_OVER, *PROXIES, *devices, *deployment.env_vars),
    )


def options_inside(deployment: Deployment) -> Node:
    """Return the deployment's options with paths of files absolute: a container has a working directory of its own."""
    return Node({**deployment.options, **_own_files(deployment)})


def failure_hint(deployment: Deployment, execution: Execution, log_tail: str) -> str | None:
    """Return what helps against a container that did not start, None when nothing is known."""
    if container_runtime(deployment, execution) is None:
        return None
    return container_hint(deployment.image, log_tail)


def container_hint(image: str, log_tail: str) -> str | None:
    """Return what helps against a container of this image that did not start, None when nothing is known."""
    missing = re.search(r"(podman|apptainer|srun): (command )?not found", log_tail)
    if missing:
        return _NO_RUNTIME.format(missing[1])
    if re.search(r"unrecognized option '--(no-)?container-", log_tail):
        return _NO_PYXIS
    if re.search(r"/bin/sh\W.*(no such file|not found)", log_tail, re.IGNORECASE):
        return _NO_SHELL
    return _NVCR if image.startswith("nvcr.io/") and "nvcr.io" in log_tail else None


def _own_files(deployment: Deployment) -> dict[str, str]:
    """Return option -> absolute path for the checkpoint and the other files that the options name."""
    names = ("checkpoint_path", *file_options(deployment.type))
    return {name: _absolute(deployment.options[name]) for name in names if deployment.options.get(name)}


def _absolute(name: str) -> str:
    path = Path(name)
    return str(path.resolve() if ".." in path.parts else path.absolute())


def mounts_of(path: Path) -> Iterator[Mount]:
    """Yield a path, and the folders outside of it that its links lead to, as those of a model hub's cache do."""
    yield Mount(str(path), str(path), read_only=True)
    if not path.is_dir():
        return
    beside = {folder for entry in path.rglob("*") if entry.is_symlink() for folder in _link_folders(entry, path)}
    for folder in sorted(beside):
        yield Mount(folder, folder, read_only=True)


def _link_folders(link: Path, root: Path) -> Iterator[str]:
    for _ in range(MAX_LINKS):
        if not link.is_symlink():
            return
        link = Path(os.path.normpath(link.parent / link.readlink()))
        if not link.is_relative_to(root):
            yield str(link.parent)
