"""Gathers what the report shows of a run: scores, failures with their cause, comparisons, times, the lock file."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from snakeval.config.model import Config, Task
from snakeval.errors import HarnessError
from snakeval.results.compare.record import ComparisonRecord
from snakeval.results.metrics import headline_metric, metric_label
from snakeval.results.report.timings import Phases, Speed, phases_of, speed_of
from snakeval.results.result import Result, read_result
from snakeval.results.summary import missing_task
from snakeval.run.attempt import Attempt, Course
from snakeval.run.paths import RunPaths
from snakeval.system.files import is_newer

Results = Mapping[tuple[str, str], Result]
_EXCERPT_LINES = 12


@dataclass(frozen=True)
class Score:
    """The headline metric of a task on a deployment; all numbers are None when there is no result.

    Attributes:
        deployment, task: Names.
        metric: Its name, with the filter where there is one.
        value, stderr, ci_low, ci_high, n: As in result.json.
        higher_is_better: Its direction; None counts as true.
        note: What a reader has to know of the answers behind it; None for nothing.
    """

    deployment: str
    task: str
    metric: str | None = None
    value: float | None = None
    stderr: float | None = None
    ci_low: float | None = None
    ci_high: float | None = None
    n: int | None = None
    higher_is_better: bool | None = None
    note: str | None = None


@dataclass(frozen=True)
class Failure:
    """A task without a result.

    Attributes:
        deployment, task: Names.
        reason: Why, in a line.
        log: Where to read on, None when nothing was written.
        excerpt: The end of the log.
    """

    deployment: str
    task: str
    reason: str
    log: Path | None
    excerpt: str


@dataclass(frozen=True)
class Report:
    """All that the page shows, samples aside.

    Attributes:
        run: Its name.
        root: Its folder.
        deployments: Names, in the order of the configuration.
        tasks: In the order of the configuration.
        results: (deployment, task) -> result, of those that are there.
        scores: One per deployment and task.
        failures: One per missing result.
        comparisons: Those that are there.
        phases: One per deployment.
        speeds: One per result.
        lock: Content of lock.yaml, None when there is none of these results.
    """

    run: str
    root: Path
    deployments: tuple[str, ...]
    tasks: tuple[Task, ...]
    results: Results
    scores: tuple[Score, ...]
    failures: tuple[Failure, ...]
    comparisons: tuple[ComparisonRecord, ...]
    phases: tuple[Phases, ...]
    speeds: tuple[Speed, ...]
    lock: str | None

    def scores_of(self, task: str) -> list[Score]:
        """Return the scores of a task, one per deployment."""
        return [score for score in self.scores if score.task == task]


def gather(config: Config, comparisons: Sequence[Path]) -> Report:
    """Return what there is to report of a run.

    Args:
        config: The run.
        comparisons: Files of comparisons to show; those that are not there are left out.
    """
    paths = RunPaths(config.folder)
    results, broken = _read_results(config, paths)
    pairs = [(deployment.name, task.name) for deployment in config.deployments for task in config.tasks]
    return Report(
        run=config.run,
        root=paths.root,
        deployments=tuple(one.name for one in config.deployments),
        tasks=config.tasks,
        results=results,
        scores=tuple(_score(pair, results.get(pair)) for pair in pairs),
        failures=tuple(_failure(paths, pair, broken.get(pair)) for pair in pairs if pair not in results),
        comparisons=tuple(one for path in comparisons if (one := ComparisonRecord.read(path)) is not None),
        phases=tuple(phases_of(paths, one, results) for one in config.deployments),
        speeds=tuple(speed_of(result) for result in results.values()),
        lock=_lock(paths, results, pairs),
    )


def _read_results(config: Config, paths: RunPaths) -> tuple[Results, dict[tuple[str, str], str]]:
    """Return the valid results, and what is wrong with the others."""
    results = {}
    broken = {}
    for deployment in config.deployments:
        for task in config.tasks:
            pair = (deployment.name, task.name)
            try:
                result = read_result(paths.task(*pair).result)
            except HarnessError as error:
                broken[pair] = str(error)
            else:
                if result is not None:
                    results[pair] = result
    return results, broken


def _score(pair: tuple[str, str], result: Result | None) -> Score:
    if result is None:
        return Score(*pair)
    metric = headline_metric(result.metrics)
    return Score(
        *pair,
        metric=metric_label(metric.name, metric.filter),
        value=metric.value,
        stderr=metric.stderr,
        ci_low=metric.ci_low,
        ci_high=metric.ci_high,
        n=metric.n,
        higher_is_better=metric.higher_is_better,
        note=result.note,
    )


def _failure(paths: RunPaths, pair: tuple[str, str], broken: str | None) -> Failure:
    missing = missing_task(paths, *pair, _EXCERPT_LINES)
    attempt = Attempt.read(paths.task(*pair).attempt)
    reason = broken
    if reason is None and attempt is not None and attempt.course is not Course.SUCCEEDED:
        reason = attempt.reason or str(attempt.course)
    if reason is None:
        reason = "it was not begun" if missing.log is None else missing.excerpt.splitlines()[-1]
    return Failure(*pair, reason.removeprefix("error: "), missing.log, missing.excerpt)


def _lock(paths: RunPaths, results: Results, pairs: Sequence[tuple[str, str]]) -> str | None:
    """Return the lock file when it is of all these results."""
    if len(results) == len(pairs) and is_newer(paths.lock_file, [paths.task(*pair).result for pair in pairs]):
        return paths.lock_file.read_text(encoding="utf-8")
    return None
