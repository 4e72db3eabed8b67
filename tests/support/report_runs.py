"""Runs on disk for tests of the report: any size, without a model, with hostile answers and a task that failed."""

import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from builders import make_config, make_deployment, make_metric, make_outcome, make_task
from snakeval.config.model import Config, Deployment, Task
from snakeval.results.lock_file import write_lock_file
from snakeval.results.result import build_result
from snakeval.results.samples import write_samples
from snakeval.results.statistics.estimates import wilson
from snakeval.results.summary import summarize, write_summary
from snakeval.run.attempt import Attempt, Course, Stage
from snakeval.run.paths import RunPaths
from snakeval.run.server import ServerRecord, ServerState
from snakeval.serving.lifecycle import write_deployment
from snakeval.system.files import write_text

MARKUP = (
    "<script>window.hacked = 1</script><img src=x onerror='window.hacked = 2'>"
    "</script><script>window.hacked = 3</script><a href='javascript:window.hacked=4'>x</a>\u202e&lt;"
)
# Half a surrogate pair, which JSON can say and UTF-8 cannot.
HOSTILE = MARKUP + "\ud800"
START = 1_790_000_000.0
TASK_S = 60.0


def make_run(
    output_dir: Path,
    deployments: Sequence[str] = ("alpha", "beta"),
    tasks: Sequence[str] = ("sums", "words", "capitals"),
    samples: int = 40,
    missing: Sequence[tuple[str, str]] = (),
    seed: int = 5,
) -> Config:
    """Write the files of a run as its jobs do, report aside; the first wrong answer of every task is hostile.

    Args:
        output_dir: Where runs are.
        deployments, tasks: Names; better deployments come first.
        samples: Per task.
        missing: (deployment, task) that have failed.
        seed: Of the answers.
    """
    config = make_config(output_dir, [make_deployment(one) for one in deployments], [make_task(one) for one in tasks])
    paths, rng = RunPaths(output_dir / config.run), random.Random(seed)
    for place, deployment in enumerate(config.deployments):
        for number, task in enumerate(config.tasks):
            paths.task(deployment.name, task.name).folder.mkdir(parents=True)
            if (deployment.name, task.name) in missing:
                _fail(paths, deployment.name, task.name)
                continue
            right = [rng.random() < 0.85 - 0.5 * place / len(deployments) for _ in range(samples)]
            write_samples(paths.task(deployment.name, task.name).samples, _samples(task.name, right, rng))
            _score(config, deployment, task, right, START + 20 + number * TASK_S)
        ServerRecord(
            state=ServerState.STOPPED,
            server_id="0123456789abcdef",
            started_at=START,
            ready_at=START + 15,
            updated_at=START + 30 + len(tasks) * TASK_S,
            restarts=0,
        ).write(paths.server(deployment.name).state)
        write_deployment(deployment, paths.server(deployment.name).deployment)
    write_summary(config, summarize(config))
    write_lock_file(config)
    return config


def comparison(candidate: str = "beta", baseline: str = "alpha", task: str = "sums") -> dict[str, Any]:
    """Return the content of a comparison's file, with a gate that says no and a task that is not comparable."""
    names = (
        "metric filter higher_is_better baseline candidate n_shared difference stderr ci_low ci_high test p p_holm mde"
    )
    none: dict[str, Any] = dict.fromkeys((*names.split(), "flips"))
    lost = {"right_to_wrong": [{"task": task, "doc_id": 3}], "wrong_to_right": []}
    numbers = {"difference": -0.1, "stderr": 0.02, "ci_low": -0.15, "ci_high": -0.05, "p": 1e-5, "p_holm": 2e-5}
    scores = {"baseline": {"value": 0.8, "stderr": 0.1, "n": 40}, "candidate": {"value": 0.7, "stderr": 0.1, "n": 40}}
    worse = none | {"metric": "exact_match", "n_shared": 40, "mde": 0.05, "flips": lost, **numbers, **scores}
    worse |= {"task": task, "verdict": "worse", "reason": "the difference is not chance alone", "differences": []}
    other = none | {"task": "words", "verdict": "incomparable", "reason": f"limit differs {MARKUP}", "differences": []}
    judged = {"tier": "critical", "drop": 0.1, "drop_low": 0.05, "drop_high": 0.15, "limit": 0.02}
    gate_task = {"task": task, "outcome": "fail", "reason": "the drop of 0.1 is above the limit", **judged}
    gate = {"policy": "p.yaml", "policy_sha256": "0" * 64, "verdict": "NO-GO", "passed": False, "reason": "dropped"}
    setting = {"component": "quantization", "baseline": None, "candidate": MARKUP, "accepted": True}
    return {
        "schema_version": 1,
        "name": f"{candidate}-vs-{baseline}",
        "run": "demo",
        "candidate": {"run": "demo", "deployment": candidate, "folder": "f"},
        "baseline": {"run": "demo", "deployment": baseline, "folder": "f"},
        "alpha": 0.05,
        "power": 0.8,
        "seed": 1,
        "deployment_differences": [setting],
        "tasks": [worse, other],
        "counts": {"better": 0, "worse": 1, "not distinguishable": 0, "incomparable": 1},
        "gate": gate | {"tasks": [gate_task]},
    }


def _score(config: Config, deployment: Deployment, task: Task, right: Sequence[bool], begin: float) -> None:
    n, value = len(right), sum(right) / len(right)
    low, high = wilson(value, n)
    numbers = {"stderr": (value * (1 - value) / n) ** 0.5, "n": n, "ci_low": low, "ci_high": high}
    outcome = make_outcome(make_metric(value=value, ci_method="wilson", **numbers), asked=n, answered=n)
    path = RunPaths(config.folder).task(deployment.name, task.name).result
    build_result(config, deployment, task, outcome, begin, begin + TASK_S, 1).write(path)


def _samples(task: str, right: Sequence[bool], rng: random.Random) -> Iterator[dict[str, Any]]:
    hostile = right.index(False) if False in right else -1
    for number, good in enumerate(right):
        words = f"{rng.getrandbits(400):0100x}"
        yield {
            "task": task,
            "doc_id": number,
            "repeat": 0,
            "prompt": f"Question {number} of {task}: what is {number} + {number}?",
            "answer": HOSTILE if number == hostile else f"It is {2 * number}. {words}",
            "expected": str(2 * number),
            "metrics": {"exact_match[none]": float(good)},
            "finish_reason": "stop",
            "prompt_tokens": 20,
            "completion_tokens": 11,
            "latency_s": 0.5,
        }


def _fail(paths: RunPaths, deployment: str, task: str) -> None:
    files = paths.task(deployment, task)
    write_text(files.log, f"asking\n{MARKUP}\nerror: the server died\n")
    reason = "the server of it died while the task ran"
    attempt = Attempt(Stage.EVALUATE, 2, 2, "f", Course.FAILED, started_at=START, updated_at=START + 9, reason=reason)
    attempt.write(files.attempt)
