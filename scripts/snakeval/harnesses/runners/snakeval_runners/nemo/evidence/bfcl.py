"""BFCL: a file of answers for every category, and one of scores, whose first line counts and whose others are wrong."""

import importlib.util
from pathlib import Path

from ...shared.failures import RunnerError
from ...shared.fields import Fields, is_number
from ...shared.files import read_lines
from ...shared.outcome import ReportedMetric
from ...shared.samples import ReplyFacts, Sample
from ..journal import Journal
from ..request import NemoRequest
from .model import Evidence
from .replies import Replies

_PREFIX = "BFCL_v3_"
_FAILED = "Error during inference"
_ACCURACY = "accuracy"
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


def read_bfcl(request: NemoRequest, journal: Journal) -> Evidence:
    """Return the samples and an accuracy for every category.

    BFCL's averages count a category of which nothing was asked as 0. Those are left out where there is a limit, which
    takes the first samples of all.

    Raises:
        RunnerError: answers lack scores.
    """
    replies = Replies(journal)
    samples: list[Sample] = []
    metrics = []
    sizes: dict[str, int] = {}
    for file in sorted(request.output_path.glob(f"result/*/{_PREFIX}*_result.json")):
        category = file.name.removeprefix(_PREFIX).removesuffix("_result.json")
        answers = list(read_lines(file))
        scored = _scored(request.output_path, category, answers, replies)
        samples += scored
        accuracy = sum(sample.metrics[_ACCURACY] for sample in scored) / len(scored)
        sizes[category] = len(scored)
        metrics.append(ReportedMetric(_ACCURACY, "none", category, accuracy, None, len(scored), True))
    failed = [one.answer for one in samples if isinstance(one.answer, str) and one.answer.startswith(_FAILED)]

    def count(_: str | None, name: str, __: str) -> int:
        if request.limit is not None and "overall" in name:
            return 0
        return sum(size for category, size in sizes.items() if _belongs(category, name))

    return Evidence(samples, len(samples), count, len(failed), failed[0] if failed else "", metrics)


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


def _scored(output: Path, category: str, answers: list[Fields], replies: Replies) -> list[Sample]:
    (file,) = output.glob(f"score/*/{_PREFIX}{category}_score.json")
    head, *wrong = read_lines(file)
    if head.count("total_count") != len(answers):
        total = head.count("total_count")
        raise RunnerError("harness", f"{total} of {len(answers)} answers of {category} were scored")
    failed = {entry.text("id") for entry in wrong}
    prompts = _prompts(category)
    return [
        Sample(
            task=category,
            doc_id=answer.text("id"),
            repeat=0,
            prompt=prompts.get(answer.text("id")),
            answer=answer.value("result"),
            expected=None,
            metrics={_ACCURACY: 0.0 if answer.text("id") in failed else 1.0},
            reply=_reply_facts(answer, prompts.get(answer.text("id")), replies),
        )
        for answer in answers
    ]


def _reply_facts(answer: Fields, question: object, replies: Replies) -> ReplyFacts:
    """Return what is known of the answers: of a conversation of several turns BFCL has the sums."""
    turns = question if isinstance(question, list) else []
    texts = [str(turn[-1].get("content")) for turn in turns if isinstance(turn, list) and turn]
    told = replies.take(texts[0], answer.value("result")) if texts else ReplyFacts()
    if len(turns) == 1 and told.latency_s is not None:
        return told
    prompt, completion = (
        _sum(answer.value_or_none("input_token_count")),
        _sum(answer.value_or_none("output_token_count")),
    )
    return ReplyFacts(
        finish_reason=told.finish_reason,
        prompt_tokens=None if prompt is None else int(prompt),
        completion_tokens=None if completion is None else int(completion),
        latency_s=_sum(answer.value_or_none("latency")),
    )


def _prompts(category: str) -> dict[str, object]:
    spec = importlib.util.find_spec("bfcl")
    folders = spec.submodule_search_locations if spec else None
    if not folders:
        return {}
    data = Path(next(iter(folders))) / "data" / f"{_PREFIX}{category}.json"
    return {entry.text("id"): entry.value("question") for entry in read_lines(data)}


def _sum(value: object) -> float | None:
    """Return the sum over the turns of a conversation."""
    if isinstance(value, list):
        known = [part for part in map(_sum, value) if part is not None]
        return sum(known) if known else None
    return value if is_number(value) else None
