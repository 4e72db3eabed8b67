"""Loads and validates the configuration; wildcard constraints, input and resource functions. No rules."""

import os
import re
from pathlib import Path

from snakeval.evaluation.concurrency import RequestResources
from snakeval.config import load_config
from snakeval.config.model import Comparison
from snakeval.system.environments import (
    environment_marker,
    environment_name,
    environments_dir,
)
from snakeval.harnesses.availability import harness_lock
from snakeval.errors import ConfigError
from snakeval.results.exports import export_lock
from snakeval.deployments.instances import server_locks
from snakeval.run.paths import RunPaths, TaskPaths
from snakeval.workflow.polling import respect_status_interval
from snakeval.workflow.session import Session

# What the scripts of the rules need to load the same configuration; the values themselves stay out of their pickles.
SOURCE = {
    "configfiles": [str(path) for path in workflow.config_settings.configfiles],
    "overrides": dict(workflow.config_settings.config),
    "workflow_dir": str(Path(workflow.basedir)),
}

try:
    CONFIG = load_config(
        [Path(path) for path in SOURCE["configfiles"]],
        SOURCE["overrides"],
        Path(workflow.basedir),
        os.environ,
        check_environ=workflow.is_main_process,
    )
except ConfigError as error:
    print(error, file=sys.stderr)
    sys.exit(1)

config.clear()
config.update(SOURCE)

RUN = RunPaths(CONFIG.folder)
DEPLOYMENTS = {deployment.name: deployment for deployment in CONFIG.deployments}
# Beside those that are evaluated, the ones that tasks use.
SERVED = {deployment.name: deployment for deployment in CONFIG.served}
TASKS = {task.name: task for task in CONFIG.tasks}
REQUESTS = RequestResources(CONFIG.served, TASKS)
COMPARISONS = {comparison.name: comparison for comparison in CONFIG.comparisons}
EXPORTS = {export.format: export for export in CONFIG.exports}
SESSION = Session(CONFIG, Path(".snakemake"))

if workflow.is_main_process:
    for notice in CONFIG.notices:
        print(f"notice: {notice}", file=sys.stderr)
    SESSION.recover()
    respect_status_interval()


wildcard_constraints:
    deployment="|".join(map(re.escape, SERVED)),
    auxiliary="|".join(re.escape(one.name) for one in CONFIG.auxiliaries),
    task="|".join(map(re.escape, TASKS)),
    comparison="|".join(map(re.escape, COMPARISONS)),
    format="|".join(map(re.escape, EXPORTS)),
    environment=r"[a-z0-9_-]+-[0-9a-f]{12}",


def all_results() -> list[Path]:
    """Return the result of every task on every deployment."""
    return [
        RUN.task(deployment, task).result
        for deployment in DEPLOYMENTS
        for task in TASKS
    ]


def all_teardowns() -> list[Path]:
    """Return the record of every deployment's end."""
    return [RUN.server(deployment).teardown for deployment in SERVED]


def results_of(wildcards) -> list[Path]:
    """Return the results that a deployment has to be there for: its own, or those of the tasks that use it."""
    name = wildcards.deployment
    if name in DEPLOYMENTS:
        return [RUN.task(name, task).result for task in TASKS]
    users = [task.name for task in TASKS.values() if name in task.auxiliaries]
    return [
        RUN.task(deployment, task).result
        for deployment in DEPLOYMENTS
        for task in users
    ]


def auxiliary_leases(wildcards) -> list[Path]:
    """Return a task's leases on the deployments that it uses beside the one that it evaluates."""
    names = TASKS[wildcards.task].auxiliaries
    return [
        RUN.auxiliary(name, wildcards.deployment, wildcards.task).lease
        for name in names
    ]


def comparison_files() -> list[Path]:
    """Return every comparison."""
    return [RUN.comparison(name, "json") for name in COMPARISONS]


def all_comparisons() -> list[Path]:
    """Return every comparison, with the file that says that its gate let it pass."""
    return [
        RUN.comparison(name, form)
        for name in COMPARISONS
        for form in ("json", "passed")
    ]


def compared_files(wildcards) -> list[Path]:
    """Return what a comparison reads."""
    return files_of_both(COMPARISONS[wildcards.comparison])


def files_of_both(comparison: Comparison) -> list[Path]:
    """Return results and samples of both sides; of an earlier run, those that are there."""
    candidate = [RUN.task(comparison.deployment, task) for task in TASKS]
    if comparison.baseline_results is None:
        baseline = [RUN.task(comparison.baseline, task) for task in TASKS]
        return [file for task in candidate + baseline for file in task.tracked]
    folder = comparison.baseline_results / comparison.baseline
    earlier = [TaskPaths(path.parent) for path in folder.glob("*/result.json")]
    there = [file for task in earlier for file in task.tracked if file.exists()]
    return [file for task in candidate for file in task.tracked] + sorted(there)


def comparison_policy(wildcards) -> list[Path]:
    """Return the policy file of a comparison with a gate."""
    policy = COMPARISONS[wildcards.comparison].gate
    return [policy] if policy else []


def comparison_settings(wildcards) -> str:
    """Return what the outcome of a comparison depends on beside its files."""
    return repr(COMPARISONS[wildcards.comparison])


def all_exports() -> list[Path]:
    """Return the record of every export."""
    return [RUN.export_record(name) for name in EXPORTS]


def exported_samples() -> list[Path]:
    """Return the samples of every task on every deployment."""
    return [
        RUN.task(deployment, task).samples
        for deployment in DEPLOYMENTS
        for task in TASKS
    ]


def export_settings(wildcards) -> str:
    """Return what an export depends on beside its files."""
    return repr(EXPORTS[wildcards.format])


def missing_environments() -> list[Path]:
    """Return the environments that tasks without a result, and exports, need and that are not built yet.

    They are inputs of `all` alone. As an input of `ready`, an environment that is built again would replan every
    finished task. `ready` waits until they are there, and builds them itself when only a part of the run is asked for.
    """
    pending = [
        (d, t) for d in DEPLOYMENTS for t in TASKS if not RUN.task(d, t).result.exists()
    ]
    needed = {name for d, t in pending for name in (d, *TASKS[t].auxiliaries)}
    locks = {
        lock
        for deployment in needed
        for lock in server_locks(SERVED[deployment], CONFIG.execution)
    }
    locks |= {harness_lock(TASKS[task]) for _, task in pending}
    locks |= {
        export_lock(name) for name in EXPORTS if not RUN.export_record(name).exists()
    }
    markers = [
        environment_marker(environment_name(lock)) for lock in locks if lock is not None
    ]
    return sorted(marker for marker in markers if not marker.exists())


def deployment_fingerprint(wildcards) -> str:
    """Return the hash of what can change a score; operational settings are not in it."""
    return SERVED[wildcards.deployment].fingerprint


def task_fingerprint(wildcards) -> str:
    """Return the hash of what can change a score of this task."""
    return TASKS[wildcards.task].fingerprint


def ready_slot(wildcards) -> int:
    """Return 1 where deployments come one after another: a `ready` that waits must be the only one.

    Auxiliary deployments have a server as long as a task may use them, beside whichever is evaluated.
    """
    limited = CONFIG.execution.max_deployments < len(DEPLOYMENTS)
    return 1 if limited and wildcards.deployment in DEPLOYMENTS else 0


def task_job_resources() -> dict[str, str]:
    """Return where the Slurm executor submits tasks, as far as the configuration says it; the profile says the rest."""
    options = CONFIG.execution.options
    named = {
        "slurm_account": options.get("account"),
        "slurm_partition": options.get("cpu_partition"),
    }
    return {name: value for name, value in named.items() if value is not None}


def attempt_number(wildcards, attempt: int) -> int:
    """Return which attempt this is, from 1."""
    return attempt


def last_attempt(wildcards) -> int:
    """Return the number of the last attempt that --retries allows; only the main process knows it."""
    return (workflow.execution_settings.retries or 0) + 1


def deployment_priority(wildcards, step: int) -> int:
    """Return the priority of a step of a deployment: the first deployment's steps come before the next one's."""
    position = list(SERVED).index(wildcards.deployment)
    return 10 * (len(SERVED) - position) + step


def evaluate_priority(wildcards) -> int:
    """Return the lowest priority among the steps of the deployment."""
    return deployment_priority(wildcards, 1)


def ready_priority(wildcards) -> int:
    """Return a priority above `evaluate`: what holds the cores must not keep others from becoming ready."""
    return deployment_priority(wildcards, 2)


def deploy_priority(wildcards) -> int:
    """Return a priority above every `ready`: all deployments are known before the first one takes its turn."""
    return deployment_priority(wildcards, 500)


def teardown_priority(wildcards) -> int:
    """Return the highest priority of the deployment: a server that is done makes room at once."""
    return deployment_priority(wildcards, 3)


for name, amount in {"ready": 1, **REQUESTS.limits()}.items():
    if name not in workflow.global_resources:
        workflow.register_resource(name, amount)
