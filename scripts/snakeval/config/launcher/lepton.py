"""The launcher's `execution.lepton_platform` and `deployment.lepton_config`."""

from collections.abc import Mapping

from snakeval.config.launcher.findings import Findings
from snakeval.config.reading.schema import Schema
from snakeval.config.reading.tree import Keys, Tree

PLATFORM: Keys = ("execution", "lepton_platform")
_TASKS: Keys = (*PLATFORM, "tasks")
_SERVER = {
    ("node_group",): "node_group",
    ("endpoint_readiness_timeout",): "readiness_timeout_s",
    ("platform_defaults", "queue_config"): "queue_config",
    ("platform_defaults", "image_pull_secrets"): "image_pull_secrets",
}
_OWN_KEY = "every server that is started has a key of its own"


def translate_platform(tree: Tree, known: Mapping[str, Schema], findings: Findings) -> None:
    """Rewrite `execution.lepton_platform`.

    Args:
        tree: Changed in place.
        known: The keys that the execution type has.
        findings: What is found.
    """
    if not isinstance(tree.get(PLATFORM), dict) or "lepton_platform" in known:
        return
    for theirs, ours in _SERVER.items():
        path: Keys = (*PLATFORM, "deployment", *theirs)
        if tree.get(path) is not None and ours in known and tree.get(("execution", ours)) is None:
            tree.move(path, ("execution", ours))
    variables = tree.get((*_TASKS, "env_vars"))
    for name in list(variables) if isinstance(variables, dict) else ():
        _variable(tree, str(name), findings)
    tree.remove((*_TASKS, "env_vars"))
    if tree.get(_TASKS):
        findings.no_meaning(_TASKS, "the profile says where tasks run (profiles/README.md)")
    tree.remove(_TASKS)
    if tree.get((*PLATFORM, "deployment")):
        findings.no_meaning(PLATFORM, "execution says what endpoints get (docs/lepton.md)")
    tree.remove(PLATFORM)


def _variable(tree: Tree, name: str, findings: Findings) -> None:
    """A job of Lepton finds a secret of the workspace in its environment when the profile names it."""
    keys: Keys = (*_TASKS, "env_vars", name)
    value = tree.get(keys)
    if name == "API_KEY" or name == tree.get(("target", "api_endpoint", "api_key_name")):
        findings.no_meaning(keys, _OWN_KEY)
        return
    source = value.get("value_from") if isinstance(value, dict) else None
    secret = source.get("secret_name_ref") if isinstance(source, dict) else None
    if isinstance(secret, str):
        if tree.get(("evaluation", "env_vars", name)) is None:
            tree.put(("evaluation", "env_vars", name), f"runtime:{name}", tree.origin(keys))
        findings.read_as(
            keys, f"is runtime:{name} in evaluation.env_vars; jobs get it by --lepton-secrets {name}={secret}"
        )
        return
    got = f"a text of {len(value)} characters (not shown)" if isinstance(value, str) else "no name of a secret"
    hint = "store it as a secret of the workspace, or write it into evaluation.env_vars as lit:VALUE when it is none"
    findings.refused(keys, "cannot be honoured", "{value_from: {secret_name_ref: NAME}}", hint, shown=got)


def translate_config(tree: Tree, place: Keys, findings: Findings) -> None:
    """Take out `scale_from_zero: false` of a deployment's `lepton_config`, which says what happens anyway."""
    keys: Keys = (*place, "lepton_config", "auto_scaler", "scale_down", "scale_from_zero")
    if tree.get(keys) is False:
        findings.no_meaning(keys, "Lepton never wakes an endpoint by itself, Snakeval does")
