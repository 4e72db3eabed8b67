"""Rules over several keys for servers on Lepton, named by `x-rules` of its schema; see check.py."""

from collections.abc import Iterator

from snakeval.config.draft import Draft
from snakeval.config.reading.entry import Entry
from snakeval.config.reading.tree import Node
from snakeval.config.reading.wording import show
from snakeval.config.secrets import looks_secret
from snakeval.errors import Problem


def lepton_rules(draft: Draft) -> Iterator[Problem]:
    """Yield what would keep an endpoint from being made, or would show a secret to the workspace."""
    execution = draft.execution
    for entry in draft.served:
        if entry.schema.engine.has_server:
            lepton_config = Node(entry.data.get("lepton_config") or {})
            yield from _image(entry, execution)
            yield from _shape(entry, lepton_config, execution)
            yield from _cache_volume(entry, lepton_config, execution)
            yield from _variables(entry)
            yield from _plain_secrets(entry, lepton_config)
    yield from _variables(execution)
    yield from _variables(draft.top)


def _image(entry: Entry, execution: Entry) -> Iterator[Problem]:
    if not entry.data.get("image") and not execution.data["image"]:
        has_key = "image" in entry.schema.properties
        where = entry.at("image") if has_key else execution.at("image")
        hint = "Lepton runs images; name one that has what the server's command needs"
        yield Problem(where, "is missing", "nothing", "the name of an image", hint)


def _shape(entry: Entry, lepton_config: Node, execution: Entry) -> Iterator[Problem]:
    if not lepton_config.get("resource_shape") and not execution.data["resource_shape"]:
        hint = "`lep node resource-shape` shows them; or lepton_config.resource_shape of each deployment"
        yield Problem(execution.at("resource_shape"), "is missing", "nothing", "for example gpu.1xh200", hint)


def _cache_volume(entry: Entry, lepton_config: Node, execution: Entry) -> Iterator[Problem]:
    mounts = lepton_config.get("mounts")
    if isinstance(mounts, dict) and mounts["enabled"] and not mounts["from"] and not execution.data["volumes"]:
        where = entry.at("lepton_config", "mounts", "from")
        hint = "add from, or execution.volumes"
        yield Problem(where, "is missing", "nothing", "for example node-nfs:lepton-shared-fs", hint)


def _variables(entry: Entry) -> Iterator[Problem]:
    for name, reference in entry.data["env_vars"].items():
        if reference.startswith("lit:") and looks_secret(name):
            hint = "store it as a secret of the workspace, and write host:NAME"
            yield _readable(entry.at("env_vars", name), reference, "host:NAME, the name of a secret", hint)
        if reference.startswith("runtime:") and reference != f"runtime:{name}":
            what = "takes its value from another variable"
            hint = "the image's own environment is there anyway; a secret is named host:NAME"
            yield Problem(entry.at("env_vars", name), what, show(reference), f"runtime:{name} or host:NAME", hint)


def _plain_secrets(entry: Entry, lepton_config: Node) -> Iterator[Problem]:
    envs = lepton_config.get("envs")
    for name, value in envs.items() if isinstance(envs, dict) else ():
        if isinstance(value, str) and looks_secret(name):
            hint = "store it as a secret of the workspace, and name that"
            expected = "{value_from: {secret_name_ref: NAME}}"
            yield _readable(entry.at("lepton_config", "envs", name), value, expected, hint)


def _readable(where: str, value: str, expected: str, hint: str) -> Problem:
    what = "would stand in the endpoint's definition, for the whole workspace to read"
    return Problem(where, what, f"a text of {len(value)} characters (not shown)", expected, hint)
