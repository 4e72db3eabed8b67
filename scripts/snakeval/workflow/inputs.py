"""What the jobs of a run read, and the parameters that plan a job again when they change."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Protocol

from snakeval.config.model import Comparison, Config, Deployment, Export, Task
from snakeval.deployments.instances import server_locks
from snakeval.harnesses.availability import harness_lock
from snakeval.results.exports import export_lock
from snakeval.run.paths import RunPaths, TaskPaths, finished_tasks
from snakeval.system.environments import environment_marker, environment_name
from snakeval.system.files import is_newer


class Wildcards(Protocol):
    """The wildcards of a job; each job has those of its rule and no others."""

    @property
    def deployment(self) -> str: ...
    @property
    def task(self) -> str: ...
    @property
    def comparison(self) -> str: ...
    @property
    def format(self) -> str: ...


def any_of(names: Iterable[str]) -> str:
    """Return a regular expression that matches these names and nothing else."""
    return "|".join(map(re.escape, names))


@dataclass(frozen=True)
class Inputs:
    """The files and parameters of the rules.

    Methods that take `wildcards` are functions in the sense of Snakemake; the others are called when the workflow is
    loaded.

    Attributes:
        config: The run.
    """

    config: Config

    @cached_property
    def paths(self) -> RunPaths:
        """The folder of the run."""
        return RunPaths(self.config.folder)

    @cached_property
    def evaluated(self) -> tuple[str, ...]:
        """The names of the deployments that tasks evaluate."""
        return tuple(deployment.name for deployment in self.config.deployments)

    @cached_property
    def served(self) -> Mapping[str, Deployment]:
        """All deployments by name: those that tasks evaluate, and those that tasks use beside them."""
        return {deployment.name: deployment for deployment in self.config.served}

    @cached_property
    def tasks(self) -> Mapping[str, Task]:
        """All tasks by name."""
        return {task.name: task for task in self.config.tasks}

    @cached_property
    def comparisons(self) -> Mapping[str, Comparison]:
        """All comparisons by name."""
        return {comparison.name: comparison for comparison in self.config.comparisons}

    @cached_property
    def exports(self) -> Mapping[str, Export]:
        """All exports by format."""
        return {export.format: export for export in self.config.exports}

    def all_results(self) -> list[Path]:
        """Return the result of every task on every deployment."""
        return [task.result for task in self._tasks_of_run(self.tasks)]

    def all_samples(self) -> list[Path]:
        """Return the samples of every task on every deployment."""
        return [task.samples for task in self._tasks_of_run(self.tasks)]

    def all_teardowns(self) -> list[Path]:
        """Return the record of every deployment's end."""
        return [self.paths.server(name).teardown for name in self.served]

    def all_comparisons(self) -> list[Path]:
        """Return every comparison, and the file that says that its gate let it pass."""
        return [self.paths.comparison(name, suffix) for name in self.comparisons for suffix in ("json", "passed")]

    def comparison_files(self) -> list[Path]:
        """Return every comparison, whatever its gate says."""
        return [self.paths.comparison(name, "json") for name in self.comparisons]

    def all_exports(self) -> list[Path]:
        """Return the record of every export."""
        return [self.paths.export_record(format) for format in self.exports]

    def results_of(self, wildcards: Wildcards) -> list[Path]:
        """Return the results for which a deployment must be there.

        They are the results of its own evaluation. For an auxiliary deployment they are those of the tasks that use it.
        """
        name = wildcards.deployment
        if name in self.evaluated:
            return [self.paths.task(name, task).result for task in self.tasks]
        users = [task.name for task in self.tasks.values() if name in task.auxiliaries]
        return [task.result for task in self._tasks_of_run(users)]

    def auxiliary_leases(self, wildcards: Wildcards) -> list[Path]:
        """Return a task's leases on the deployments that it uses beside the one that it evaluates."""
        names = self.tasks[wildcards.task].auxiliaries
        return [self.paths.auxiliary(name, wildcards.deployment, wildcards.task).lease for name in names]

    def compared_files(self, wildcards: Wildcards) -> list[Path]:
        """Return what a comparison reads."""
        return self._files_of_both(self.comparisons[wildcards.comparison])

    def comparison_policy(self, wildcards: Wildcards) -> list[Path]:
        """Return the policy file of a comparison with a gate."""
        policy = self.comparisons[wildcards.comparison].gate
        return [policy] if policy else []

    def comparison_settings(self, wildcards: Wildcards) -> str:
        """Return the settings on which a comparison depends beside its files."""
        return repr(self.comparisons[wildcards.comparison])

    def export_settings(self, wildcards: Wildcards) -> str:
        """Return the settings on which an export depends beside its files."""
        return repr(self.exports[wildcards.format])

    def deployment_fingerprint(self, wildcards: Wildcards) -> str:
        """Return the hash of what can change a score; operational settings are not in it."""
        return self.served[wildcards.deployment].fingerprint

    def task_fingerprint(self, wildcards: Wildcards) -> str:
        """Return the hash of what can change a score of this task."""
        return self.tasks[wildcards.task].fingerprint

    def current_comparisons(self) -> list[str]:
        """Return the names of the comparisons that were made from the results as they are now."""
        return [
            name
            for name, comparison in self.comparisons.items()
            if is_newer(self.paths.comparison(name, "json"), self._files_of_both(comparison))
        ]

    def missing_environments(self) -> list[Path]:
        """Return the environments that are not built yet although a task without a result, or an export, needs them.

        They are inputs of `all` alone. As an input of `ready`, an environment that is built again would replan every
        finished task. `ready` waits until they are there, and builds them itself when only a part of the run is asked
        for.
        """
        pending = [
            (deployment, task)
            for deployment in self.evaluated
            for task in self.tasks.values()
            if not self.paths.task(deployment, task.name).result.exists()
        ]
        needed = {name for deployment, task in pending for name in (deployment, *task.auxiliaries)}
        locks = {lock for name in needed for lock in server_locks(self.served[name], self.config.execution)}
        locks |= {lock for _, task in pending if (lock := harness_lock(task))}
        unmade = [format for format in self.exports if not self.paths.export_record(format).exists()]
        locks |= {lock for format in unmade if (lock := export_lock(format))}
        markers = [environment_marker(environment_name(lock)) for lock in locks]
        return sorted(marker for marker in markers if not marker.exists())

    def _tasks_of_run(self, names: Iterable[str]) -> list[TaskPaths]:
        """Return the folders of these tasks on every deployment that is evaluated."""
        tasks = list(names)
        return [self.paths.task(deployment, task) for deployment in self.evaluated for task in tasks]

    def _files_of_both(self, comparison: Comparison) -> list[Path]:
        """Return results and samples of both sides; of an earlier run, those that exist."""
        candidate = [self.paths.task(comparison.deployment, task) for task in self.tasks]
        files = [file for task in candidate for file in task.tracked]
        if comparison.baseline_results is None:
            baseline = [self.paths.task(comparison.baseline, task) for task in self.tasks]
            return files + [file for task in baseline for file in task.tracked]
        folder = comparison.baseline_results / comparison.baseline
        earlier = finished_tasks(folder)
        return files + sorted(file for task in earlier for file in task.tracked if file.exists())
