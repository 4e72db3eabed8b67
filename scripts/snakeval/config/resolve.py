"""From a checked draft to the frozen objects that the rest of Snakeval reads."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from snakeval.config.auxiliaries import named_by
from snakeval.config.draft import Draft
from snakeval.config.engines import environment_family, without_unused
from snakeval.config.exports import build_exports
from snakeval.config.fingerprint import (
    command_digests,
    components,
    definition_digests,
    file_digests,
    fingerprint,
    pinned_versions,
)
from snakeval.config.model import Comparison, Config, Deployment, Execution, Task
from snakeval.config.reading.entry import Entry
from snakeval.config.reading.schema import operational
from snakeval.config.reading.tree import Node
from snakeval.config.secrets import without_secrets
from snakeval.config.tasks.resolve import ResolvedTask

_DEPLOYMENT_FIELDS = ("name", "type", "served_model_name", "port", "env_vars")
_EXECUTION_FIELDS = (
    "type",
    "output_dir",
    "idle_timeout_s",
    "readiness_timeout_s",
    "patience_s",
    "max_restarts",
    "max_deployments",
    "env_vars",
)
_TASK_FIELDS = ("name", "harness", "task", "protocol", "limit", "repeats", "env_vars", "auxiliary_deployments")


def build(
    draft: Draft,
    tasks: Sequence[ResolvedTask],
    comparisons: Sequence[Entry],
    task_dirs: Sequence[Path],
    envs: Path,
) -> Config:
    """Return the configuration as frozen objects.

    Args:
        draft: Without problems.
        tasks: Its tasks, resolved.
        comparisons: Its comparisons.
        task_dirs: Folders with task definitions, the repository's own last.
        envs: Folder with the lock files of the environments.
    """
    data_dir = draft.evaluation.data["data_dir"]
    execution = draft.execution.data
    auxiliaries = {entry.data["name"]: _deployment(entry, draft, envs) for entry in draft.auxiliaries}
    return Config(
        run=draft.top.data["run"],
        deployments=tuple(_deployment(entry, draft, envs) for entry in draft.deployments),
        execution=Execution(
            type=execution["type"],
            output_dir=Path(execution["output_dir"]),
            idle_timeout_s=execution["idle_timeout_s"],
            readiness_timeout_s=execution["readiness_timeout_s"],
            patience_s=execution["patience_s"],
            max_restarts=execution["max_restarts"],
            max_deployments=execution["max_deployments"],
            options=_without(execution, _EXECUTION_FIELDS),
        ),
        tasks=tuple(_task(task, draft, envs, auxiliaries) for task in tasks),
        data_dir=Path(data_dir) if data_dir else None,
        task_dirs=tuple(task_dirs),
        resolved=_resolved(draft, tasks, comparisons),
        comparisons=tuple(_comparison(entry, draft) for entry in comparisons),
        exports=build_exports(draft.top.data["export"]),
        notices=(*(task.notice for task in tasks if task.notice), *_unmounted(draft, tasks, envs)),
        auxiliaries=tuple(auxiliaries.values()),
    )


def _deployment(entry: Entry, draft: Draft, envs: Path) -> Deployment:
    data, shared = entry.data, draft.top.data["env_vars"]
    family = environment_family(data, entry.schema.engine)
    scored = {
        **_scored(entry),
        "env_vars": {**shared, **data["env_vars"]},
        # The rest of lepton_config says where the server runs, and changes no score.
        "lepton_envs": (data.get("lepton_config") or {}).get("envs"),
        "versions": pinned_versions(envs / f"{family}.lock") if family else {},
        "files": {**command_digests(data.get("command")), **file_digests(entry.files()), **_image_digest(data)},
    }
    return Deployment(
        name=data["name"],
        type=data["type"],
        served_model_name=data["served_model_name"],
        port=data["port"],
        env_vars={**shared, **draft.execution.data["env_vars"], **data["env_vars"]},
        options=_without(data, _DEPLOYMENT_FIELDS),
        fingerprint=fingerprint(scored),
        components=components(Node(scored)),
        env_prefix=draft.prefixes.get(data["name"], ""),
    )


def _image_digest(data: Node) -> dict[str, str]:
    """Return the digest of an image that is a file; a reference speaks for itself."""
    return _image_file(data.get("image") or "") if data.get("runtime") == "container" else {}


def _image_file(image: str) -> dict[str, str]:
    return file_digests({"image": Path(image)}) if image.startswith("/") else {}


def _task(task: ResolvedTask, draft: Draft, envs: Path, auxiliaries: Mapping[str, Deployment]) -> Task:
    data, evaluation = task.entry.data, draft.evaluation.data
    env_vars = {**draft.top.data["env_vars"], **evaluation["env_vars"], **data["env_vars"]}
    used = named_by(Node({**data, "env_vars": env_vars}), draft.prefixes)
    scored = {
        **_without(_scored(task.entry), ("auxiliary_deployments",)),
        "auxiliaries": {name: auxiliaries[name].fingerprint for name in used},
        "harness": task.harness,
        "task": None if task.harness == "command" and task.task == data["name"] else task.task,
        "protocol": task.protocol.value,
        "env_vars": env_vars,
        "data_dir": evaluation["data_dir"],
        "versions": _versions(task, envs),
        "files": {
            **(definition_digests(task.definition) if task.definition else command_digests(data["command"])),
            **_image_file(_container(task, envs)),
        },
    }
    return Task(
        name=data["name"],
        harness=task.harness,
        task=task.task,
        protocol=task.protocol,
        limit=data["limit"],
        repeats=data["repeats"],
        settings=_without(data, _TASK_FIELDS),
        env_vars=env_vars,
        definition=task.definition,
        fingerprint=fingerprint(scored),
        components=components(Node(scored)),
        module=task.registered.module if task.registered else "",
        environment=_environment(task, envs),
        auxiliaries=used,
        container=_container(task, envs),
    )


def _comparison(entry: Entry, draft: Draft) -> Comparison:
    data = entry.data
    folder = Path(data["baseline_results"]) if data["baseline_results"] else None
    own = Path(draft.execution.data["output_dir"]) / draft.top.data["run"]
    names = {deployment.data["name"] for deployment in draft.deployments}
    if folder and folder.absolute() == own.absolute() and data["baseline"] in names:
        folder = None
    return Comparison(
        name=data["name"],
        deployment=data["deployment"],
        baseline=data["baseline"],
        baseline_results=folder,
        accept_differences=tuple(data["accept_differences"]),
        alpha=data["alpha"],
        gate=Path(data["gate"]) if data["gate"] else None,
    )


def _versions(task: ResolvedTask, envs: Path) -> dict[str, str]:
    """Return what pins the harness: the packages of its environment, else the image of the registry."""
    if image := _container(task, envs):
        return {"container": image}
    lock = f"{_environment(task, envs) or task.harness}.lock"
    return pinned_versions(envs / lock) if task.harness != "command" else {}


def _environment(task: ResolvedTask, envs: Path) -> str:
    """Return the environment of a registered harness; empty when it runs in its image alone."""
    name = task.registered.environment if task.registered and not task.entry.data["container"] else ""
    return name if name and (envs / f"{name}.lock").exists() else ""


def _container(task: ResolvedTask, envs: Path) -> str:
    """Return the image of a task of the registry: its own, else that of a harness without environment; else empty."""
    if task.registered is None or _environment(task, envs):
        return ""
    return str(task.entry.data["container"] or task.registered.container)


def _unmounted(draft: Draft, tasks: Sequence[ResolvedTask], envs: Path) -> Iterator[str]:
    """Yield what the configuration wants to be mounted for tasks that run in no container."""
    outside = [task.entry for task in tasks if not _container(task, envs)]
    for entry in outside:
        if entry.data["dataset_mount_path"]:
            where = entry.at("dataset_mount_path").rpartition(": ")[2]
            yield f"{where}: left out, the task runs in no container and finds dataset_dir where it is"
    mounts = draft.execution.data.get("mounts") or {}
    if mounts.get("evaluation") and len(outside) == len(tasks):
        yield "execution.mounts.evaluation: left out, tasks run in no container and see this machine's folders"


def _scored(entry: Entry) -> Node:
    """Return the keys that can change a score. `base_url` is derived from `url`, whose spelling does not matter."""
    scored = _without(without_unused(entry.data, entry.schema), tuple(operational(entry.schema)))
    if scored.get("runtime") == "host":
        # What was so before there were containers.
        del scored["runtime"]
    if "base_url" in scored:
        scored["url"] = scored.pop("base_url")
    return scored


def _without(data: Node, names: Sequence[str]) -> Node:
    return Node({name: value for name, value in data.items() if name not in names})


def _resolved(draft: Draft, tasks: Sequence[ResolvedTask], comparisons: Sequence[Entry]) -> Node:
    """Return the effective configuration in the shape of a configfile, so that it can be run again."""
    resolved_tasks = [
        {**task.entry.data, "harness": task.harness, "task": task.task, "protocol": task.protocol.value}
        for task in tasks
    ]
    # A command has no `task` of its own to look up, and `definition` is found again by name.
    for task, plain in zip(tasks, resolved_tasks, strict=True):
        if task.definition:
            plain["task"] = task.entry.data["task"]
    auxiliaries = {
        entry.data["name"]: {**_without(_plain(entry), ("name",)), "env_prefix": draft.prefixes[entry.data["name"]]}
        for entry in draft.auxiliaries
    }
    evaluation = {
        **_without(_plain(draft.evaluation), ("tasks",)),
        "tasks": [{**plain, "env_vars": without_secrets(plain["env_vars"])} for plain in resolved_tasks],
    }
    return Node(
        {
            "run": draft.top.data["run"],
            "env_vars": without_secrets(draft.top.data["env_vars"]),
            "execution": _plain(draft.execution),
            "deployments": [_plain(entry) for entry in draft.deployments],
            "auxiliary_deployments": auxiliaries,
            "evaluation": evaluation,
            "compare": [dict(entry.data) for entry in comparisons],
            "export": draft.top.data["export"],
        }
    )


def _plain(entry: Entry) -> Node:
    known = entry.schema.properties
    plain = {name: value for name, value in entry.data.items() if name in known}
    return Node({**plain, "env_vars": without_secrets(plain["env_vars"])})
