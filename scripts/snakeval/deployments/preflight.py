"""What can be checked of a deployment before anything is started, and before any GPU is asked for."""

import json
import re
import shutil
import socket
from collections.abc import Iterator
from math import prod
from pathlib import Path

from snakeval.config.execution_types import execution_type
from snakeval.config.model import Deployment, Execution
from snakeval.deployments.containers import container_runtime
from snakeval.deployments.gpus import PARALLEL, gpus_per_node
from snakeval.deployments.types import deployment_type, launch_template, mounted_options
from snakeval.errors import DeploymentError, ExtensionError, Problem
from snakeval.run.paths import all_started_servers
from snakeval.run.server import ServerRecord
from snakeval.system.processes import is_alive

LOOPBACK = "127.0.0.1"
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")


def check_deployment(deployment: Deployment, execution: Execution) -> None:
    """Check what the configuration alone cannot tell.

    Args:
        deployment: What is about to be started.
        execution: Where.

    Raises:
        DeploymentError: with every finding at once.
    """
    problems = [
        *_checkpoint(deployment),
        *_gpus(deployment, execution),
        *_attention_heads(deployment),
        *_port(deployment, execution),
        *_container(deployment, execution),
        *_template(deployment),
    ]
    if problems:
        raise DeploymentError("\n\n".join(str(problem) for problem in problems))


def _template(deployment: Deployment) -> Iterator[Problem]:
    try:
        if deployment_type(deployment.type).has_server:
            launch_template(deployment.type)
    except ExtensionError as error:
        yield error.problem


def _checkpoint(deployment: Deployment) -> Iterator[Problem]:
    reference = deployment.checkpoint_path
    if reference is None or reference.startswith("package:"):
        return
    path, where = Path(reference), f"deployment {deployment.name}: checkpoint_path"
    if not path.exists():
        hub = deployment.takes_hub_ids and _HUB_ID.fullmatch(reference)
        relative = "relative paths begin at the directory in which snakemake runs"
        yield Problem(
            where=where,
            what="does not exist",
            got=reference,
            expected="a path on this machine" + ("" if deployment.takes_hub_ids else ", or package:PACKAGE/FILE"),
            hint=f"{relative}; an id of the Hugging Face hub belongs in hf_model_handle" if hub else relative,
        )
    elif deployment.takes_hub_ids and not (path / "config.json").is_file():
        found = "a file" if path.is_file() else "a folder without config.json"
        hint = "a GGUF file is for type llamacpp, or for scripts/dev/gguf_to_checkpoint.py, which makes such a folder"
        yield Problem(where, "is no checkpoint", f"{reference}: {found}", "a folder with config.json and weights", hint)


def _gpus(deployment: Deployment, execution: Execution) -> Iterator[Problem]:
    per_node, nodes = gpus_per_node(execution), execution.nodes_per_instance
    if not per_node or deployment.has_own_command:
        return
    sizes = {key: deployment.options.get(key) or 1 for key in PARALLEL}
    needed = prod(sizes.values())
    where = f"deployment {deployment.name}: tensor_parallel_size"
    got = ", ".join(f"{key} {size}" for key, size in sizes.items() if size > 1) + f": {needed} GPUs"
    if needed > per_node * nodes:
        expected = f"at most {per_node * nodes}: execution gives {per_node} on each of {nodes} node(s)"
        yield Problem(where, "needs more GPUs than there are", got, expected, "raise execution.num_nodes or gres")
    elif nodes > 1 and needed % nodes:
        hint = "every node runs as many parts of the model as the others"
        yield Problem(
            where, "does not divide among the nodes", got, f"a multiple of {nodes}, the nodes of one server", hint
        )


def _attention_heads(deployment: Deployment) -> Iterator[Problem]:
    size, path = deployment.options.get("tensor_parallel_size") or 1, deployment.checkpoint_path
    if size == 1 or path is None:
        return
    heads = _heads(Path(path) / "config.json")
    if heads is not None and heads % size:
        fitting = [str(number) for number in range(1, heads + 1) if heads % number == 0]
        where = f"deployment {deployment.name}: tensor_parallel_size"
        what = f"does not divide the {heads} attention heads of the model"
        hint = f"config.json of {path} has num_attention_heads: {heads}"
        yield Problem(where, what, str(size), "one of " + ", ".join(fitting), hint)


def _heads(file: Path) -> int | None:
    """Return the attention heads that a checkpoint's config.json names; None when it cannot be told."""
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    # Models of several modalities keep the language model's part by itself.
    for part in (config, config.get("text_config")) if isinstance(config, dict) else ():
        heads = part.get("num_attention_heads") if isinstance(part, dict) else None
        if isinstance(heads, int) and heads > 0:
            return heads
    return None


def _port(deployment: Deployment, execution: Execution) -> Iterator[Problem]:
    here = execution_type(execution.type).on_this_machine
    if deployment.port is None or not here or _is_our_port(deployment.port, execution.output_dir):
        return
    with socket.socket() as probe:
        taken = probe.connect_ex((LOOPBACK, deployment.port)) == 0
    if taken:
        hint = "free it, name another, or leave port out to have a free one taken"
        where = f"deployment {deployment.name}: port"
        yield Problem(where, "is taken by another server of this machine", str(deployment.port), "a free port", hint)


def _is_our_port(port: int, output_dir: Path) -> bool:
    """Whether a server of our runs has it: that one ends before the port is needed, or the backend tells."""
    for server in all_started_servers(output_dir):
        record = ServerRecord.read(server.state)
        if record is None or record.port != port or record.supervisor_pid is None:
            continue
        if is_alive(record.supervisor_pid, record.supervisor_start):
            return True
    return False


def _container(deployment: Deployment, execution: Execution) -> Iterator[Problem]:
    runtime = container_runtime(deployment, execution)
    if runtime is None:
        return
    here = f"deployment {deployment.name}"
    mounted = [("execution.mounts.deployment", mount.source) for mount in execution.server_mounts]
    mounted += [(key, deployment.options[key]) for key in mounted_options(deployment.type) if deployment.options[key]]
    for key, source in mounted:
        if not Path(source).exists():
            hint = "make it, or take the mount out"
            expected = "a file or folder of this machine"
            yield Problem(f"{here}: {key}", "names what does not exist", source, expected, hint)
    image = deployment.image
    if image.startswith("/") and not Path(image).exists():
        hint = "docs/containers.md tells how to make one"
        yield Problem(f"{here}: image", "does not exist", image, "an image file on this machine", hint)
    # Elsewhere the machine that runs the server has it, which need not be this one.
    if execution_type(execution.type).on_this_machine and shutil.which(runtime) is None:
        hint = f"install {runtime}, or choose another execution.container_runtime"
        yield Problem(f"{here}: execution.container_runtime", "is not installed", runtime, "on PATH", hint)
