"""Compares two deployments over all tasks, corrects for their number, has a policy judge, and writes the outcome."""

from dataclasses import dataclass, replace
from pathlib import Path

from snakeval.config.model import Comparison, Config
from snakeval.results.compare.differences import differences
from snakeval.results.compare.gate import judge
from snakeval.results.compare.policy import read_policy
from snakeval.results.compare.record import VERDICTS, ComparisonRecord, SideRecord
from snakeval.results.compare.task import compare_task
from snakeval.results.compare.text import as_markdown
from snakeval.results.result import read_valid_results
from snakeval.results.statistics.estimates import SEED
from snakeval.results.statistics.paired import POWER, holm
from snakeval.run.paths import TaskPaths, finished_tasks
from snakeval.system.files import write_text


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

    def record(self, run: str) -> SideRecord:
        """Return it as the comparison's file has it, under the name that the run gave itself."""
        return SideRecord(run, self.deployment, str(self.folder))


def sides(config: Config, comparison: Comparison) -> tuple[Side, Side]:
    """Return baseline and candidate; the tasks of an earlier run are those that its folder has results of."""
    own = config.folder
    tasks = tuple(task.name for task in config.tasks)
    candidate = Side(config.run, comparison.deployment, own / comparison.deployment, tasks)
    if comparison.baseline_results is None:
        return Side(config.run, comparison.baseline, own / comparison.baseline, tasks), candidate
    folder = comparison.baseline_results / comparison.baseline
    there = tuple(task.folder.name for task in finished_tasks(folder))
    return Side(comparison.baseline_results.name, comparison.baseline, folder, there), candidate


def compare(comparison: Comparison, baseline: Side, candidate: Side) -> ComparisonRecord:
    """Return what a comparison finds, without a gate."""
    names = dict.fromkeys((*candidate.tasks, *baseline.tasks))
    accept, alpha = comparison.accept_differences, comparison.alpha
    found = [compare_task(name, baseline.files(name), candidate.files(name), accept, alpha) for name in names]
    p_values = {one.task: one.difference.p for one in found if one.difference and one.difference.p is not None}
    adjusted = dict(zip(p_values, holm(list(p_values.values())), strict=True))
    tasks = tuple(one.record(adjusted.get(one.task), alpha) for one in found)
    before, after = (next(read_valid_results(side.folder), None) for side in (baseline, candidate))
    served = differences("deployment", before, after, ["*"]) if before and after else []
    return ComparisonRecord(
        name=comparison.name,
        run=candidate.run,
        candidate=candidate.record(candidate.run),
        baseline=baseline.record(before.run if before else baseline.run),
        alpha=alpha,
        power=POWER,
        seed=SEED,
        deployment_differences=tuple(served),
        tasks=tasks,
        counts={verdict: sum(one.verdict == verdict for one in tasks) for verdict in VERDICTS},
    )


def write_comparison(config: Config, comparison: Comparison, json_path: Path, markdown_path: Path) -> ComparisonRecord:
    """Rule compare: compare, have the policy judge, validate, and write both files; returns what was found.

    Incomparable tasks are a part of it, not an error.

    Raises:
        ConfigError: the policy is wrong.
    """
    content = compare(comparison, *sides(config, comparison))
    if comparison.gate:
        content = replace(content, gate=judge(content.tasks, read_policy(comparison.gate)))
    write_text(markdown_path, as_markdown(content))
    content.write(json_path)
    return content
