"""BFCL: a file of answers for every category, and one of scores, whose first line counts and whose others are wrong."""

import importlib.util
from pathlib import Path
from typing import Any

from ...shared.failures import RunnerError
from ..journal import read_lines
from ..request import RunRequest
from .model import Evidence

_PREFIX = "BFCL_v3_"
_FAILED = "Error during inference"
_MULTI_TURN = ("base", "miss_func", "miss_param", "long_context")
_NON_LIVE = {
    "simple_ast": ("simple", "java", "javascript"),
    "python_simple_ast": ("simple",),
    "java_simple_ast": ("java",),
    "javascript_simple_ast": ("javascript",),
    "multiple_ast": ("multiple",),
    "parallel_ast": ("parallel",),
    "parallel_multiple_ast": ("parallel_multiple",),
    "simple_exec": ("exec_simple", "rest"),
    "python_simple_exec": ("exec_simple",),
    "rest_simple_exec": ("rest",),
    "multiple_exec": ("exec_multiple",),
    "parallel_exec": ("exec_parallel",),
    "parallel_multiple_exec": ("exec_parallel_multiple",),
    "irrelevance_detection": ("irrelevance",),
}
_EXECUTED = ("exec_simple", "exec_parallel", "exec_multiple", "exec_parallel_multiple", "rest")
_SUMMARIES = ("ast_summary", "exec_summary")


def read_bfcl(request: RunRequest) -> Evidence:
    """Return the samples and an accuracy for every category.

    BFCL's averages count a category of which nothing was asked as 0. Those are left out where there is a limit, which
    takes the first samples of all.

    Raises:
        RunnerError: answers lack scores.
    """
    samples: list[dict[str, Any]] = []
    metrics = []
    for file in sorted(request.output_path.glob(f"result/*/{_PREFIX}*_result.json")):
        category = file.name.removeprefix(_PREFIX).removesuffix("_result.json")
        answers = list(read_lines(file))
        found = _scored(request.output_path, category, answers)
        samples += found
        accuracy = sum(one["metrics"]["accuracy"] for one in found) / len(found)
        metrics.append(_metric(category, accuracy, len(found)))
    failed = [one for one in samples if isinstance(one["answer"], str) and one["answer"].startswith(_FAILED)]
    sizes = {metric["subtask"]: metric["n"] for metric in metrics}

    def count(_: str | None, name: str, __: str) -> int:
        if request.limit is not None and "overall" in name:
            return 0
        return sum(size for category, size in sizes.items() if _belongs(category, name))

    example = str(failed[0]["answer"]) if failed else ""
    return Evidence(samples, len(samples), count, len(failed), example, metrics)


def _categories(metric: str) -> tuple[str, ...] | None:
    """Return the categories that a metric of results.yml is about, None for an average over a part of BFCL."""
    if metric in _MULTI_TURN:
        return (f"multi_turn_{metric}",)
    if metric.endswith("_non_live"):
        return _NON_LIVE.get(metric.removesuffix("_non_live"))
    if metric.endswith("_live"):
        kind = metric.removesuffix("_live").removeprefix("python_").replace("_ast", "").replace("_detection", "")
        return (f"live_{kind}",)
    return None


def _belongs(category: str, metric: str) -> bool:
    named = _categories(metric)
    if named is not None:
        return category in named
    live, multi_turn = category.startswith("live_"), category.startswith("multi_turn")
    if metric.startswith("live"):
        return live
    if metric.startswith("multi_turn"):
        return multi_turn
    executed = category in _EXECUTED
    return not live and not multi_turn and (metric not in _SUMMARIES or executed == (metric == "exec_summary"))


def _scored(output: Path, category: str, answers: list[dict[str, Any]]) -> list[dict[str, Any]]:
    (file,) = output.glob(f"score/*/{_PREFIX}{category}_score.json")
    head, *wrong = read_lines(file)
    if head["total_count"] != len(answers):
        raise RunnerError("harness", f"{head['total_count']} of {len(answers)} answers of {category} were scored")
    failed = {entry["id"] for entry in wrong}
    prompts = _prompts(category)
    return [
        {
            "task": category,
            "doc_id": answer["id"],
            "repeat": 0,
            "prompt": prompts.get(answer["id"]),
            "answer": answer["result"],
            "expected": None,
            "metrics": {"accuracy": 0.0 if answer["id"] in failed else 1.0},
            "prompt_tokens": _sum(answer.get("input_token_count")),
            "completion_tokens": _sum(answer.get("output_token_count")),
            "latency_s": _sum(answer.get("latency")),
        }
        for answer in answers
    ]


def _prompts(category: str) -> dict[str, Any]:
    spec = importlib.util.find_spec("bfcl")
    folders = spec.submodule_search_locations if spec else None
    if not folders:
        return {}
    data = Path(next(iter(folders))) / "data" / f"{_PREFIX}{category}.json"
    return {entry["id"]: entry["question"] for entry in read_lines(data)}


def _sum(value: Any) -> Any:
    """Return the sum over the turns of a conversation."""
    if isinstance(value, list):
        known = [part for part in map(_sum, value) if part is not None]
        return sum(known) if known else None
    return value if isinstance(value, int | float) else None


def _metric(category: str, accuracy: float, count: int) -> dict[str, Any]:
    return {
        "name": "accuracy",
        "filter": "none",
        "subtask": category,
        "value": accuracy,
        "stderr": None,
        "n": count,
        "higher_is_better": True,
    }
