"""The launcher's `export` and `execution.auto_export`: which destinations count, and with which settings."""

from collections.abc import Mapping, Sequence
from typing import Any

from snakeval.config.exports import trackers
from snakeval.config.launcher.findings import Findings
from snakeval.config.reading.schema_files import Schemas
from snakeval.config.reading.tree import Keys, Tree

AUTO: Keys = ("execution", "auto_export")
_NO_MEANING = {
    "job_dirs": "the results of the run are exported",
    "copy_logs": "logs stay in the results",
    "only_required": "result.json and samples.jsonl.gz are the artifacts",
    "exclude_patterns": "result.json and samples.jsonl.gz are the artifacts",
    "log_metrics": "every metric is exported, with its uncertainty",
    "log_config_params": "settings are always exported",
    "log_config_params_max_depth": "settings are always exported",
    "extra_metadata": "settings, versions and fingerprints are always exported; tags may say more",
    "skip_existing": "a run that is there is updated",
    "log_mode": "every task has a run of its own",
    "run_id": "ids follow from run, deployment, task and fingerprint",
}


def translate_export(tree: Tree, schemas: Schemas, findings: Findings) -> None:
    """Rewrite both; a file of the launcher exports what `auto_export` names, one of ours what `export` has."""
    if tree.get(("export", "local")) is not None:
        findings.no_meaning(("export", "local"), "summary.csv, .json and .md are always written (docs/results.md)")
    if tree.get(AUTO) is not None:
        _destinations(tree, trackers(schemas), findings)
    for name in trackers(schemas):
        settings = tree.get(("export", name))
        known = schemas.read("export").properties[name].properties
        for key in list(settings) if isinstance(settings, dict) else ():
            if key in _NO_MEANING and key not in known:
                findings.no_meaning(("export", name, key), _NO_MEANING[key])


def _destinations(tree: Tree, known: Sequence[str], findings: Findings) -> None:
    settings = tree.get(AUTO)
    wanted = _names(settings.get("destinations") if isinstance(settings, Mapping) else settings)
    absent = [name for name in wanted if name != "local" and name not in known]
    if absent:
        hint = "remove it; docs/exports.md lists what results can be exported to"
        what = f"asks for an export that does not exist: {', '.join(absent)}"
        findings.refused((*AUTO, "destinations"), what, f"local, {', '.join(known)}", hint)
    for name in known:
        keys: Keys = ("export", name)
        if name in wanted and tree.get(keys) is None:
            tree.put(keys, {}, tree.origin(AUTO))
        elif name not in wanted and tree.get(keys) is not None:
            findings.no_meaning(keys, "execution.auto_export.destinations does not name it")
    tree.remove(AUTO)


def _names(destinations: Any) -> list[str]:
    return [str(name) for name in destinations] if isinstance(destinations, list) else []
