"""Compares two deployments over all tasks, corrects for their number, has a policy judge, and writes the outcome."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from snakeval.config.model import Comparison, Config
from snakeval.results.compare.differences import differences
from snakeval.results.compare.gate import judge
from snakeval.results.compare.policy import read_policy
from snakeval.results.compare.task import BETTER, EQUAL, INCOMPARABLE, WORSE, TaskComparison, compare_task
from snakeval.results.compare.text import as_markdown
from snakeval.results.result import read_valid_results
from snakeval.results.statistics.estimates import SEED
from snakeval.results.statistics.paired import POWER, holm
from snakeval.run.paths import TaskPaths
from snakeval.system.checkout import SCHEMAS
from snakeval.system.files import write_json, write_text

SCHEMA = SCHEMAS / "comparison.schema.yaml"


@dataclass(frozen=True)
class Side:
    """A deployment of a run.

    Attributes:
        run: Name of the run.
        deployment: Name of the deployment.
        folder: Its results.
        tasks: Names of the tasks that are to be compared.
    """

    run: str
    deployment: str
    folder: Path
    tasks: tuple[str, ...]

    def files(self, task: str) -> TaskPaths:
        """Return the files of a task."""
        return TaskPaths(self.folder / task)

    def as_json(self) -> dict[str, str]:
        """Return it as the comparison's file has it."""
        return {"run": self.run, "deployment": self.deployment, "folder": str(self.folder)}


def sides(config: Config, comparison: Comparison) -> tuple[Side, Side]:
    """Return baseline and candidate; the tasks of an earlier run are those that its folder has results of."""
    own = config.folder
    tasks = tuple(task.name for task in config.tasks)
    candidate = Side(config.run, comparison.deployment, own / comparison.deployment, tasks)
    if comparison.baseline_results is None:
        return Side(config.run, comparison.baseline, own / comparison.baseline, tasks), candidate
    folder = comparison.baseline_results / comparison.baseline
    there = tuple(sorted(path.parent.name for path in folder.glob("*/result.json")))
    return Side(comparison.baseline_results.name, comparison.baseline, folder, there), candidate


def compare(comparison: Comparison, baseline: Side, candidate: Side) -> dict[str, Any]:
    """Return the content of a comparison's file, without a gate; valid by `schemas/comparison.schema.yaml`."""
    names = dict.fromkeys((*candidate.tasks, *baseline.tasks))
    accept, alpha = comparison.accept_differences, comparison.alpha
    found = [compare_task(name, baseline.files(name), candidate.files(name), accept, alpha) for name in names]
    p_values = {one.task: one.difference.p for one in found if one.difference and one.difference.p is not None}
    adjusted = dict(zip(p_values, holm(list(p_values.values())), strict=True))
    tasks = [_entry(one, adjusted.get(one.task), alpha) for one in found]
    results = [next(read_valid_results(side.folder), None) for side in (baseline, candidate)]
    before, after = results
    served = differences("deployment", before, after, ["*"]) if before and after else []
    return {
        "schema_version": 1,
        "name": comparison.name,
        "run": candidate.run,
        "candidate": candidate.as_json(),
        "baseline": replace(baseline, run=before["run"] if before else baseline.run).as_json(),
        "alpha": alpha,
        "power": POWER,
        "seed": SEED,
        "deployment_differences": [one.as_json() for one in served],
        "tasks": tasks,
        "counts": _counts(tasks),
        "gate": None,
    }


def write_comparison(config: Config, comparison: Comparison, json_path: Path, markdown_path: Path) -> dict[str, Any]:
    """Rule compare: compare, have the policy judge, validate, and write both files; returns the content.

    Incomparable tasks are a part of the content, not an error.

    Raises:
        ConfigError: the policy is wrong.
    """
    import jsonschema

    content = compare(comparison, *sides(config, comparison))
    content["gate"] = judge(content, read_policy(comparison.gate)) if comparison.gate else None
    # What is checked is what is written, after its way through JSON.
    content = json.loads(json.dumps(content, allow_nan=False))
    schema = yaml.safe_load(SCHEMA.read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator(schema).validate(content)
    write_text(markdown_path, as_markdown(content))
    write_json(json_path, content)
    return dict(content)


def _counts(tasks: Sequence[dict[str, Any]]) -> dict[str, int]:
    return {
        verdict: sum(task["verdict"] == verdict for task in tasks) for verdict in (BETTER, WORSE, EQUAL, INCOMPARABLE)
    }


def _entry(found: TaskComparison, p_holm: float | None, alpha: float) -> dict[str, Any]:
    verdict, reason = found.verdict(p_holm, alpha)
    metric = found.metric or {}
    numbers = dict.fromkeys(("difference", "stderr", "ci_low", "ci_high", "test", "p", "mde"))
    if found.difference:
        numbers = {name: getattr(found.difference, "value" if name == "difference" else name) for name in numbers}
    return {
        "task": found.task,
        "verdict": verdict,
        "reason": reason,
        "metric": metric.get("name"),
        "filter": metric.get("filter"),
        # A metric without a direction is taken as one of which more is better.
        "higher_is_better": metric["higher_is_better"] is not False if metric else None,
        "baseline": found.baseline,
        "candidate": found.candidate,
        "differences": [one.as_json() for one in found.settings],
        "n_shared": found.n_shared,
        **numbers,
        "p_holm": p_holm,
        "flips": found.flips,
    }
