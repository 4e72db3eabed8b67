"""What there is to export: every task of a run on every deployment, and the flat rows that tables are made of."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from snakeval.config.fingerprint import fingerprint
from snakeval.config.model import Config, Deployment, Task
from snakeval.errors import HarnessError
from snakeval.results.result import read_result
from snakeval.results.samples import read_samples_file
from snakeval.run.paths import RunPaths, TaskPaths

COLUMNS: Mapping[str, type] = {
    "run": str,
    "deployment": str,
    "served_model_name": str,
    "deployment_type": str,
    "task": str,
    "subtask": str,
    "metric": str,
    "filter": str,
    "value": float,
    "stderr": float,
    "ci_low": float,
    "ci_high": float,
    "ci_method": str,
    "n": int,
    "higher_is_better": bool,
    "limit": int,
    "repeats": int,
    "protocol": str,
    "harness": str,
    "harness_task": str,
    "prompt_tokens": int,
    "completion_tokens": int,
    "started_at": str,
    "duration_s": float,
    "deployment_fingerprint": str,
    "task_fingerprint": str,
    "snakeval_version": str,
    "status": str,
}


@dataclass(frozen=True)
class Measured:
    """A task on a deployment, with its result when it has one.

    Attributes:
        run: Name of the run.
        deployment: What was evaluated.
        task: With what.
        files: The task's files.
        result: The content of result.json, valid; None when it is missing.
    """

    run: str
    deployment: Deployment
    task: Task
    files: TaskPaths
    result: Mapping[str, Any] | None

    @property
    def fingerprint(self) -> str:
        """One hash over all that identifies the result: what it is called in the run, and what can change a score."""
        own = self.result["fingerprint"] if self.result else {}
        parts = {"run": self.run, "deployment": self.deployment.name, "task": self.task.name}
        return fingerprint({**parts, "of_deployment": own.get("deployment"), "of_task": own.get("task")})

    def samples(self) -> Iterator[dict[str, Any]]:
        """Yield the samples, nothing when they are not recorded."""
        return read_samples_file(self.files.samples)


def collect(config: Config) -> list[Measured]:
    """Return every task on every deployment, in the order of the configuration; a damaged result counts as missing."""
    paths = RunPaths(config.folder)
    found = []
    for deployment in config.deployments:
        for task in config.tasks:
            files = paths.task(deployment.name, task.name)
            try:
                result = read_result(files.result)
            except HarnessError:
                result = None
            found.append(Measured(config.run, deployment, task, files, result))
    return found


def missing(found: Sequence[Measured]) -> list[dict[str, str]]:
    """Return the names of what has no result."""
    return [{"deployment": one.deployment.name, "task": one.task.name} for one in found if one.result is None]


def as_rows(found: Sequence[Measured]) -> list[dict[str, Any]]:
    """Return one row per deployment, task, subtask, metric and filter, columns as `COLUMNS`.

    A task without a result has one row with `status` "missing" and no numbers.
    """
    return [row for one in found for row in _rows(one)]


def sample_id(sample: Mapping[str, Any], position: int) -> int | str:
    """Return the id of a sample; programs of users need not give any, then each sample is one of its own."""
    doc_id = sample.get("doc_id")
    return doc_id if isinstance(doc_id, int | str) and not isinstance(doc_id, bool) else position


def as_text(value: Any) -> str:
    """Return a prompt, an answer or what was expected as text, whatever the harness has made of it."""
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _rows(one: Measured) -> Iterator[dict[str, Any]]:
    base = {**dict.fromkeys(COLUMNS), **_settings(one)}
    if one.result is None:
        yield base | {"status": "missing"}
        return
    result = one.result
    known = {
        "prompt_tokens": result["tokens"]["prompt"],
        "completion_tokens": result["tokens"]["completion"],
        "started_at": result["times"]["started_at"],
        "duration_s": result["times"]["duration_s"],
        "deployment_fingerprint": result["fingerprint"]["deployment"],
        "task_fingerprint": result["fingerprint"]["task"],
        "snakeval_version": result["versions"]["snakeval"],
        "status": "ok",
    }
    for metric in result["metrics"]:
        numbers = {name: value for name, value in metric.items() if name in COLUMNS}
        yield base | known | numbers | {"metric": metric["name"]}


def _settings(one: Measured) -> dict[str, Any]:
    return {
        "run": one.run,
        "deployment": one.deployment.name,
        "served_model_name": one.deployment.served_model_name,
        "deployment_type": one.deployment.type,
        "task": one.task.name,
        "limit": one.task.limit,
        "repeats": one.task.repeats,
        "protocol": one.task.protocol.value,
        "harness": one.task.harness,
        "harness_task": one.task.task,
    }
