"""A finished run to export: results and samples as the workflow leaves them, with a group, repeats and odd names."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from builders import make_config, make_deployment, make_metric, make_outcome, make_task
from snakeval.config.model import Config, Export
from snakeval.config.reading.tree import Node
from snakeval.harnesses.base import Metric
from snakeval.results.exports.export import write_export
from snakeval.results.result import build_result
from snakeval.results.samples import write_samples
from snakeval.run.paths import RunPaths

MLFLOW: dict[str, Any] = {
    "tracking_uri": None,
    "experiment_name": "snakeval",
    "run_name": None,
    "description": None,
    "tags": {},
    "copy_artifacts": True,
    "token_name": None,
}
WANDB: dict[str, Any] = {
    "entity": None,
    "project": "snakeval",
    "name": None,
    "group": None,
    "job_type": "evaluation",
    "description": None,
    "tags": [],
    "mode": "offline",
    "base_url": None,
    "copy_artifacts": True,
    "api_key_name": None,
}
STARTED, ENDED = 1_760_000_000.0, 1_760_000_060.5


def make_run(folder: Path) -> Config:
    """Return a run of two deployments and three tasks, of which `b/words` has no result."""
    deployments = (make_deployment("a", served_model_name="org/model-a"), make_deployment("b"))
    tasks = (
        make_task("sums", limit=4, repeats=2),
        make_task("words", note=""),
        make_task("group", harness="lm-eval"),
    )
    config = make_config(folder / "results", deployments, tasks)
    for name in ("a", "b"):
        finish(config, name, "sums", [make_metric("acc", 0.5, ci_low=0.15, ci_high=0.85, ci_method="wilson")], _sums())
        finish(config, name, "group", _group_metrics(), _group())
    finish(config, "a", "words", [make_metric("f1", 0.25, stderr=None)], [])
    return config


def finish(
    config: Config, deployment: str, task: str, metrics: Sequence[Metric], samples: Sequence[dict[str, Any]]
) -> None:
    """Write the result and the samples of a task."""
    served = next(one for one in config.deployments if one.name == deployment)
    asked = next(one for one in config.tasks if one.name == task)
    files = RunPaths(config.folder).task(deployment, task)
    build_result(config, served, asked, make_outcome(*metrics), STARTED, ENDED, 1).write(files.result)
    write_samples(files.samples, iter(samples))


def export(config: Config, format: str, **settings: Any) -> dict[str, Any]:
    """Export the run in one format and return the record."""
    paths = RunPaths(config.folder)
    defaults: dict[str, Any] = {"mlflow": MLFLOW, "wandb": WANDB}.get(format, {})
    paths.export(format).mkdir(parents=True, exist_ok=True)
    with (paths.export(format) / "log.txt").open("a", encoding="utf-8") as log:
        write_export(config, Export(format, Node({**defaults, **settings})), paths.export_record(format), log)
    return dict(json.loads(paths.export_record(format).read_text(encoding="utf-8")))


def files_of(config: Config, format: str) -> Path:
    """Return the folder of an export."""
    return RunPaths(config.folder).export(format)


def renamed(config: Config, run: str) -> Config:
    """Return the configuration with the same results under another name of the run."""
    return replace(config, run=run)


def assert_nowhere(folder: Path, secret: str) -> None:
    """Check that no file below a folder holds a secret."""
    for file in folder.rglob("*"):
        if file.is_file():
            assert secret.encode() not in file.read_bytes(), file


def _sums() -> list[dict[str, Any]]:
    """Return four samples with two repeats; two of them are right once."""
    return [
        {
            "doc_id": number,
            "repeat": repeat,
            "prompt": f"{number} + 1 = ?",
            "answer": str(number + 1),
            "expected": str(number + 1),
            "metrics": {"acc": float(repeat == number % 2)},
            "finish_reason": "stop",
            "prompt_tokens": 9,
            "completion_tokens": 2,
            "latency_s": 0.25,
        }
        for repeat in (0, 1)
        for number in range(4)
    ]


def _group_metrics() -> list[Metric]:
    return [
        make_metric("exact_match", 0.5, filter="strict", stderr=0.1),
        *(make_metric("exact_match", 0.5, filter="strict", subtask=name, n=2) for name in ("easy", "hard")),
    ]


def _group() -> list[dict[str, Any]]:
    return [
        {
            "task": task,
            "doc_id": number,
            "repeat": 0,
            "prompt": "Which “quote”?\n| second line",
            "answer": ["one", "two"],
            "expected": ["one"],
            "metrics": {"exact_match[strict]": float(number), "exact_match[loose]": 1.0},
            "finish_reason": "length",
        }
        for task in ("easy", "hard")
        for number in (0, 1)
    ]
