"""The launcher's `deployment` and `target`: its defaults, endpoints, paths in the container, ports in commands."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from snakeval.config.launcher.execution import LAUNCHER_GROUPS, known_to_execution
from snakeval.config.launcher.findings import Findings
from snakeval.config.launcher.lepton import translate_config
from snakeval.config.reading.schema import Schema
from snakeval.config.reading.schema_files import Schemas
from snakeval.config.reading.tree import Keys, Tree

# Where the launcher's default is not ours.
_DEFAULTS = {"tensor_parallel_size": 8, "gpu_memory_utilization": 0.95}
_WITH_DEFAULTS = {"vllm": tuple(_DEFAULTS), "sglang": ("tensor_parallel_size",), "trtllm": ("tensor_parallel_size",)}
_PATHS = {"chat": "/chat/completions", "completions": "/completions", "embedding": "/embeddings"}
_HUB_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*/[A-Za-z0-9][A-Za-z0-9._-]*")
_PORT = re.compile(r"--port[ =](\d+)\b")
_MOUNTED = re.compile(r"(?<![\w./-])/checkpoint(?![\w.-])")
_EMPTY: tuple[Any, ...] = (None, "", {}, [])


def translate_deployments(tree: Tree, schemas: Schemas, chosen: Mapping[str, str], findings: Findings) -> None:
    """Rewrite the keys of `deployment`, of every entry of `deployments`, and of every auxiliary deployment."""
    mountable = "mounts" in known_to_execution(tree, schemas)
    several = tree.get(("deployments",))
    places: list[Keys] = [("deployment",)]
    places += [("deployments", index) for index in range(len(several) if isinstance(several, list) else 0)]
    auxiliary = tree.get(("auxiliary_deployments",))
    for name in auxiliary if isinstance(auxiliary, dict) else ():
        places.append(("auxiliary_deployments", name))
        _translate_auxiliary(tree, places[-1], findings)
    for place in places:
        data = tree.get(place)
        kind = data.get("type") if isinstance(data, dict) else None
        if kind not in schemas.types("deployment"):
            continue
        schema = schemas.effective("deployment", kind)
        deployment = _Deployment(tree, place, schema, mountable, findings)
        deployment.translate()
        translate_config(tree, place, findings)
        # Only the launcher's own groups of `execution` tell that its reading is meant.
        if chosen.get("execution") in LAUNCHER_GROUPS:
            deployment.take_hub_id()
            _fill(tree, place, kind, chosen["execution"], findings)


def _translate_auxiliary(tree: Tree, place: Keys, findings: Findings) -> None:
    for key in ("num_nodes", "num_instances"):
        if tree.get((*place, key)) in (1, None):
            tree.remove((*place, key))
        else:
            hint = f"every server of the run has execution.{key}"
            findings.refused((*place, key), "cannot be honoured", "1", hint)
            tree.remove((*place, key))
    if tree.get((*place, "command_template")) is not None:
        hint = "write `command`; $SNAKEVAL_HOST, $SNAKEVAL_PORT and $SNAKEVAL_API_KEY are known to it"
        findings.refused((*place, "command_template"), "cannot be honoured", "nothing", hint)
        tree.remove((*place, "command_template"))


def _fill(tree: Tree, place: Keys, kind: str, group: str, findings: Findings) -> None:
    for key in _WITH_DEFAULTS.get(kind, ()):
        if tree.get((*place, key)) is None and tree.get((*place, "command")) is None:
            tree.put((*place, key), _DEFAULTS[key], tree.origin(place))
            findings.read_as((*place, key), f"is {_DEFAULTS[key]}, the launcher's default with execution {group}")


class _Deployment:
    """One deployment in the tree."""

    def __init__(self, tree: Tree, place: Keys, schema: Schema, mountable: bool, findings: Findings) -> None:
        self._tree = tree
        self._mountable = mountable
        self._place = place
        self._known = schema.properties
        self._schema = schema
        self._findings = findings

    def translate(self) -> None:
        """Rewrite its keys."""
        self._command()
        self._endpoints()
        for key in ("cache_path", "pre_cmd", "checkpoint_path", "extra_args", "image", "hf_model_handle"):
            if self._get(key) in _EMPTY and (key not in self._known or key == "pre_cmd"):
                self._tree.remove(self._at(key))
        if self._get("cache_path") is not None and "cache_path" not in self._known:
            hint = "mount the folder by execution.mounts.deployment, and name it in env_vars (HF_HOME)"
            self._findings.refused(self._at("cache_path"), "cannot be honoured", "null", hint)
        if self._get("multiple_instances") is not None:
            hint = "set execution.num_nodes and execution.num_instances"
            self._findings.refused(self._at("multiple_instances"), "is not supported", "nothing", hint)
        if self._get("image") and self._get("runtime") is None and "container" in self._runtimes():
            self._tree.put(self._at("runtime"), "container", self._tree.origin(self._at("image")))

    def _at(self, *keys: str) -> Keys:
        return (*self._place, *keys)

    def _get(self, *keys: str) -> Any:
        return self._tree.get(self._at(*keys))

    def _runtimes(self) -> list[str]:
        part = self._known.get("runtime")
        return [] if part is None or part.default == "container" else list(part.choices)

    def take_hub_id(self) -> None:
        """Take a `checkpoint_path` that is no folder for a hub id, as the launcher's documents write them too."""
        path = self._get("checkpoint_path")
        wanted = "hf_model_handle" in self._known and self._get("hf_model_handle") is None
        if wanted and isinstance(path, str) and _HUB_ID.fullmatch(path) and not Path(path).exists():
            self._tree.put(self._at("hf_model_handle"), path, self._tree.origin(self._at("checkpoint_path")))
            self._tree.remove(self._at("checkpoint_path"))
            how = f"{path} is no folder here, it is taken as hf_model_handle"
            self._findings.read_as(self._at("checkpoint_path"), how)

    def _command(self) -> None:
        command = self._get("command")
        if not isinstance(command, str):
            return
        path, origin = self._get("checkpoint_path"), self._tree.origin(self._at("command"))
        if isinstance(path, str) and _MOUNTED.search(command):
            self._tree.put(self._at("command"), _MOUNTED.sub(lambda _: path, command), origin)
            self._findings.read_as(self._at("command"), f"has {path} for /checkpoint: paths are the host's")
            if "checkpoint_path" not in self._known:
                self._mount(path)
        port = _PORT.search(command)
        if port and self._get("port") is None and "port" in self._known:
            self._tree.put(self._at("port"), int(port[1]), origin)
            self._findings.read_as(self._at("port"), f"is {port[1]}, as in its command")

    def _mount(self, path: str) -> None:
        """Let a server in a container see its checkpoint, which its type has no key for."""
        origin = self._tree.origin(self._at("checkpoint_path"))
        self._tree.remove(self._at("checkpoint_path"))
        mounts: Keys = ("execution", "mounts", "deployment", path)
        if self._get("image") and self._mountable and self._tree.get(mounts) is None:
            self._tree.put(mounts, f"{path}:ro", origin)

    def _endpoints(self) -> None:
        given = self._get("endpoints")
        if not isinstance(given, dict) or "endpoints" in self._known:
            return
        self._health()
        base = self._base_path()
        for kind, path in _PATHS.items():
            if given.get(kind) not in (None, base + path):
                hint = "base_path is what all paths begin with, where the type has this key"
                self._findings.refused(self._at("endpoints", kind), "cannot be honoured", base + path, hint)
        self._tree.remove(self._at("endpoints"))

    def _health(self) -> None:
        path = self._get("endpoints", "health")
        if path is None:
            return
        fixed = self._schema.engine.health_path
        if "health_path" in self._known:
            if self._get("health_path") is None:
                self._tree.put(self._at("health_path"), path, self._tree.origin(self._at("endpoints")))
        elif fixed and path != fixed:
            hint = "a server of this type is asked at its own path; use type generic for another"
            self._findings.refused(self._at("endpoints", "health"), "cannot be honoured", fixed, hint)

    def _base_path(self) -> str:
        if "base_path" not in self._known:
            return self._schema.engine.base_path
        given = self._get("base_path")
        for kind, path in _PATHS.items():
            full = self._get("endpoints", kind)
            if given is None and isinstance(full, str) and full.endswith(path):
                given = full.removesuffix(path)
                self._tree.put(self._at("base_path"), given, self._tree.origin(self._at("endpoints")))
        return str(given if given is not None else self._known["base_path"].default or "/v1")


def translate_target(tree: Tree, findings: Findings) -> None:
    """With a deployment of our own, `target` may only hold what is about requests, which is elsewhere by now."""
    keys: Keys = ("target", "api_endpoint")
    endpoint = tree.get(keys)
    if not isinstance(endpoint, dict):
        return
    for key in ("type", "stream"):
        if endpoint.get(key) in (None, "chat", "completions", False):
            tree.remove((*keys, key))
    several = tree.get(("deployments",))
    kinds = {item.get("type") for item in several if isinstance(item, dict)} if isinstance(several, list) else set()
    if "none" in {*kinds, (tree.get(("deployment",)) or {}).get("type")}:
        return
    if "api_key_name" in endpoint and set(endpoint) == {"api_key_name"}:
        findings.no_meaning((*keys, "api_key_name"), "every server that is started has a key of its own")
    if not endpoint:
        tree.remove(("target",))
