"""The launcher's `execution`: its cluster, its timeouts, its proxy."""

from collections.abc import Mapping
from typing import Any

from snakeval.config.launcher.findings import Findings
from snakeval.config.launcher.lepton import translate_platform
from snakeval.config.reading.schema import Schema
from snakeval.config.reading.schema_files import Schemas
from snakeval.config.reading.tree import Keys, Tree

HERE: Keys = ("execution",)
LAUNCHER_GROUPS = ("slurm/default", "lepton/default")
_SUBMITTED_HERE = "jobs are submitted from the machine on which Snakemake runs"
_NO_MEANING = {
    "hostname": _SUBMITTED_HERE,
    "username": _SUBMITTED_HERE,
    "subproject": "jobs are named after the run and the deployment",
    "mode": "tasks run side by side as far as --cores or --jobs allows",
    "proxy": "several instances are served behind vLLM's router (docs/instances.md)",
    "env_var_names": "env_vars says which variables servers and tasks get",
    "evaluation_tasks": "the profile says where tasks run (profiles/README.md)",
}
# Left out in silence when they say nothing, an error otherwise.
_CANNOT = {
    "extra_docker_args": ("cannot be honoured", "nothing", "servers do not run in Docker; execution.mounts, env_vars"),
    "evaluation_gpu_visible": ("cannot be honoured", "false", "tasks get no GPU; harnesses ask the server"),
}
_NOTHING: tuple[Any, ...] = (None, "", {}, [], False)


def translate_execution(tree: Tree, schemas: Schemas, chosen: Mapping[str, str], findings: Findings) -> None:
    """Rewrite the keys of `execution`."""
    if not isinstance(tree.get(HERE), dict):
        return
    known = known_to_execution(tree, schemas)
    translate_platform(tree, known, findings)
    if "endpoint_readiness_timeout" not in known:
        _readiness(tree, (*HERE, "endpoint_readiness_timeout"))
    for key, reason in _NO_MEANING.items():
        if key in tree.get(HERE) and key not in known:
            findings.no_meaning((*HERE, key), reason)
    for key, (what, expected, hint) in _CANNOT.items():
        if key not in tree.get(HERE) or key in known:
            continue
        if tree.get((*HERE, key)) in _NOTHING:
            tree.remove((*HERE, key))
        else:
            findings.refused((*HERE, key), what, expected, hint)
    _tasks_of_server(tree, known, findings)
    _mounts(tree, known, findings)
    runtime = tree.get((*HERE, "container_runtime"))
    if chosen.get("execution") == "slurm/default" and "container_runtime" in known and runtime is None:
        tree.put((*HERE, "container_runtime"), "pyxis", tree.origin(HERE))


def known_to_execution(tree: Tree, schemas: Schemas) -> Mapping[str, Schema]:
    """Return the keys that the execution type of the tree has."""
    kind = tree.get((*HERE, "type"))
    if kind not in schemas.types("execution"):
        kind = "local"
    return schemas.effective("execution", kind).properties


def _readiness(tree: Tree, keys: Keys) -> None:
    """Null stands for the whole time of the job in the launcher; the group's own bound is better."""
    if tree.get(keys) is None:
        tree.remove(keys)
    elif tree.get((*HERE, "readiness_timeout_s")) is None or not tree.from_command_line((*HERE, "readiness_timeout_s")):
        tree.move(keys, (*HERE, "readiness_timeout_s"))


def _tasks_of_server(tree: Tree, known: Mapping[str, Schema], findings: Findings) -> None:
    keys: Keys = (*HERE, "deployment")
    own = tree.get(keys)
    if not isinstance(own, dict) or "deployment" in known:
        return
    count, nodes = own.get("n_tasks"), tree.get((*HERE, "num_nodes")) or 1
    if set(own) <= {"n_tasks"} and count in (None, nodes):
        tree.remove(keys)
    elif "n_tasks" in own:
        hint = "every node of a server has one task; the deployment's sizes say how many GPUs it uses"
        findings.refused((*keys, "n_tasks"), "cannot be honoured", f"{nodes}, as execution.num_nodes", hint)
        if not own:
            tree.remove(keys)


def _mounts(tree: Tree, known: Mapping[str, Schema], findings: Findings) -> None:
    keys: Keys = (*HERE, "mounts")
    mounts = tree.get(keys)
    if not isinstance(mounts, dict):
        return
    for part in ("deployment", "evaluation", "auxiliary"):
        if part in mounts and not mounts[part]:
            tree.remove((*keys, part))
    if "auxiliary" in mounts:
        findings.refused(
            (*keys, "auxiliary"),
            "cannot be honoured",
            "nothing",
            "name it in mounts.deployment, which every server gets",
        )
    if "mounts" in known:
        return
    if "evaluation" in mounts:
        findings.no_meaning((*keys, "evaluation"), "tasks run in no containers there and see the job's folders")
    if "mount_home" in mounts:
        findings.no_meaning((*keys, "mount_home"), "the container runtime's own default counts")
    if "deployment" in mounts:
        hint = "give servers their folders by the options of the container runtime"
        findings.refused((*keys, "deployment"), "cannot be honoured", "nothing", hint)
    if not mounts:
        tree.remove(keys)
