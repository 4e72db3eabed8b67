"""What NVIDIA's harnesses leave of their samples, read and checked; files as they write them, cut to a few lines."""

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import yaml
from snakeval.harnesses.runners.snakeval_runners.nemo import evidence as package
from snakeval.harnesses.runners.snakeval_runners.nemo.evidence import bfcl
from snakeval.harnesses.runners.snakeval_runners.nemo.evidence.model import Evidence
from snakeval.harnesses.runners.snakeval_runners.nemo.journal import Journal
from snakeval.harnesses.runners.snakeval_runners.nemo.request import NemoRequest
from snakeval.harnesses.runners.snakeval_runners.nemo.results import build_metrics
from snakeval.harnesses.runners.snakeval_runners.shared.failures import RunnerError
from snakeval.harnesses.runners.snakeval_runners.shared.fields import Fields
from snakeval.harnesses.runners.snakeval_runners.shared.samples import ReplyFacts


def _request(tmp_path: Path, framework: str, limit: int | None = None, repeats: int = 1) -> NemoRequest:
    values: dict[str, Any] = {field.name: 1 for field in fields(NemoRequest)}
    values |= {name: tmp_path / name for name in values if name.endswith("_path")}
    values |= {"framework": framework, "task": "t", "limit": limit, "repeats": repeats, "run_config": {}}
    return NemoRequest(**values)


def _write(path: Path, *lines: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(json.dumps(line) for line in lines) + "\n")


def read_evidence(request: NemoRequest) -> Evidence:
    """Return the evidence of a run that the whole journal belongs to."""
    return package.read_evidence(request, Journal(request.journal_path, 0))


def _answered(request: NemoRequest, *said: tuple[dict[str, Any], dict[str, Any]]) -> None:
    entries = [
        {"type": "answer", "key": str(number), "sent": sent, "reply": reply, "latency_s": 0.5}
        for number, (sent, reply) in enumerate(said)
    ]
    _write(request.journal_path, *({"digest": "0", "entry": entry} for entry in entries))


def _results(text: str) -> Fields:
    return Fields(yaml.safe_load(text))


def _lm_eval(tmp_path: Path, effective: int = 2) -> NemoRequest:
    request = _request(tmp_path, "lm-evaluation-harness")
    summary = {
        "results": {"all": {}, "both": {}, "one": {}},
        "groups": {"all": {}, "both": {}},
        "group_subtasks": {"all": ["both"], "both": ["one"], "one": []},
        "n-samples": {"one": {"original": 9, "effective": effective}},
        "higher_is_better": {"one": {"acc": True, "word_perplexity": False}},
        "versions": {"one": 1.0},
    }
    _write(request.output_path / "m" / "results_2026-11-26T07-21-22.932390.json", summary)
    arguments = {f"gen_args_{i}": {"arg_0": "Is it so?", "arg_1": f" {c}"} for i, c in enumerate(("yes", "no"))}
    common = {"arguments": arguments, "target": "0", "filter": "none", "metrics": ["acc", "word_perplexity"]}
    lines = [
        {"doc_id": 0, "resps": [[[-1.5, False]], [[-0.5, True]]], "acc": 0.0, "word_perplexity": 3.0, **common},
        {"doc_id": 1, "resps": [[["-0.5", "True"]], [["-1.5", "False"]]], "acc": 1.0, "word_perplexity": 2.0, **common},
    ]
    _write(request.output_path / "m" / "samples_one_2026-11-26T07-21-22.932390.jsonl", *lines)
    _write(request.output_path / "m" / "samples_one_more_2026-11-26T07-21-22.932390.jsonl", {"doc_id": 7})
    return request


LM_EVAL = """
groups:
  both: {metrics: {acc: {scores: {acc: {value: 0.5, stats: {stderr: 0.5}}}}}}
  all: {metrics: {acc: {scores: {acc: {value: 0.5, stats: {stderr: 0.5}}}}}}
tasks:
  one:
    metrics:
      acc: {scores: {acc: {value: 0.5, stats: {stderr: 0.5}}}}
      word_perplexity: {scores: {word_perplexity: {value: 2.5, stats: {stderr: null}}}}
      brier: {scores: {brier: {value: 0.1, stats: {}}}}
"""


def test_lm_eval(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    request = _lm_eval(tmp_path)
    evidence = read_evidence(request)
    assert [(one.task, one.doc_id, one.answer, one.expected) for one in evidence.samples] == [
        ("one", 0, "no", "yes"),
        ("one", 1, "yes", "yes"),
    ]
    assert evidence.samples[1].metrics == {"acc[none]": 1.0, "word_perplexity[none]": 2.0}
    metrics = build_metrics(_results(LM_EVAL), evidence, request)
    told = {(one.subtask, one.name): (one.value, one.n, one.higher_is_better) for one in metrics}
    assert told == {
        ("one", "acc"): (0.5, 2, True),
        ("one", "word_perplexity"): (2.5, 2, False),
        ("both", "acc"): (0.5, 2, True),
        (None, "acc"): (0.5, 2, True),
    }
    assert "brier is left out, there is no sample behind it" in capsys.readouterr().err
    with pytest.raises(RunnerError, match="2 of 3 samples of one are there"):
        read_evidence(_lm_eval(tmp_path, effective=3))


def _facts(reply: ReplyFacts) -> tuple[object, ...]:
    return reply.finish_reason, reply.prompt_tokens, reply.completion_tokens, reply.latency_s


def test_a_sample_s_facts_are_sums_over_its_log_likelihoods(tmp_path: Path) -> None:
    request = _lm_eval(tmp_path)
    reply = {
        "choices": [{"text": "", "finish_reason": "length"}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 1},
    }
    asked: list[Any] = [["Is it so? yes"], ["Is it so? no"], "Is it so? yes"]
    _answered(request, *(({"prompt": prompt}, reply) for prompt in asked))
    first, second = read_evidence(request).samples
    assert _facts(first.reply) == ("length", 6, 2, 1.0)
    assert _facts(second.reply) == ("length", None, None, None), "one of its requests is not there"


@pytest.mark.parametrize("value", [".nan", ".inf", "true", "text", "null"])
def test_a_value_that_is_none_is_refused(tmp_path: Path, value: str) -> None:
    request = _lm_eval(tmp_path)
    text = LM_EVAL.replace("value: 0.5", f"value: {value}")
    with pytest.raises(RunnerError, match="which is no score"):
        build_metrics(_results(text), read_evidence(request), request)


def _bfcl(tmp_path: Path, limit: int | None = None, answer: str = "[f(a=1)]", total: int = 2) -> NemoRequest:
    request = _request(tmp_path, "bfcl", limit)
    answers = [{"id": "simple_0", "result": answer, "input_token_count": 3}, {"id": "simple_1", "result": "no"}]
    _write(request.output_path / "result" / "m" / "BFCL_v3_simple_result.json", *answers)
    score = request.output_path / "score" / "m" / "BFCL_v3_simple_score.json"
    _write(score, {"accuracy": 0.5, "correct_count": 1, "total_count": total}, {"id": "simple_1", "valid": False})
    turns = {"id": "multi_turn_base_0", "result": [["f()"]], "input_token_count": [[3, 4], [5]], "latency": [[0.5]]}
    _write(request.output_path / "result" / "m" / "BFCL_v3_multi_turn_base_result.json", turns)
    score = request.output_path / "score" / "m" / "BFCL_v3_multi_turn_base_score.json"
    _write(score, {"accuracy": 1.0, "correct_count": 1, "total_count": 1})
    return request


BFCL = "groups: {bfcl: {metrics: {%s}}}"
NAMES = {
    "python_simple_ast_non_live": 2,
    "simple_ast_non_live": 2,
    "non_live_overall_acc": 2,
    "ast_summary": 2,
    "multi_turn_overall_acc": 1,
    "base": 1,
    "live_overall_acc": 0,
    "exec_summary": 0,
    "irrelevance_detection_non_live": 0,
    "irrelevance_detection_live": 0,
    "python_multiple_ast_live": 0,
    "miss_func": 0,
}


@pytest.mark.parametrize("limit", [None, 3])
def test_bfcl(tmp_path: Path, limit: int | None) -> None:
    request = _bfcl(tmp_path, limit)
    evidence = read_evidence(request)
    assert (evidence.asked, evidence.unanswered) == (3, 0)
    by_id = {one.doc_id: one for one in evidence.samples}
    assert [by_id[name].metrics["accuracy"] for name in ("simple_0", "simple_1")] == [1.0, 0.0]
    assert (by_id["multi_turn_base_0"].reply.prompt_tokens, by_id["multi_turn_base_0"].reply.latency_s) == (12, 0.5)
    text = BFCL % ", ".join(f"{name}: {{scores: {{{name}: {{value: 50.0, stats: {{}}}}}}}}" for name in NAMES)
    metrics = build_metrics(_results(text), evidence, request)
    counted = {one.name: one.n for one in metrics if one.subtask is None}
    # With a limit the averages hold categories of which nothing was asked.
    assert counted == {name: n for name, n in NAMES.items() if n and not (limit and "overall" in name)}
    assert {one.subtask: one.value for one in metrics if one.subtask} == {
        "simple": 0.5,
        "multi_turn_base": 1.0,
    }


def test_bfcl_s_errors_are_no_answers(tmp_path: Path) -> None:
    evidence = read_evidence(_bfcl(tmp_path, answer="Error during inference: 502"))
    assert (evidence.unanswered, evidence.example) == (1, "Error during inference: 502")
    with pytest.raises(RunnerError, match="3 of 2 answers of simple were scored"):
        read_evidence(_bfcl(tmp_path, total=3))


def test_bfcl_s_samples_have_what_the_endpoint_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of equal prompts each gets the reply with its own text; of several turns the sums are BFCL's."""
    turn = [{"role": "user", "content": "Which?"}]
    prompts = {"simple_0": [turn], "simple_1": [turn], "multi_turn_base_0": [turn, turn]}
    monkeypatch.setattr(bfcl, "_prompts", lambda category: prompts)
    request = _bfcl(tmp_path)
    said = [("f()", 1), ("no", 2), ("[f(a=1)]", 4)]
    replies = [
        {"choices": [{"message": {"content": text}, "finish_reason": "stop"}], "usage": {"prompt_tokens": count}}
        for text, count in said
    ]
    _answered(request, *(({"messages": turn}, reply) for reply in replies))
    facts = {one.doc_id: _facts(one.reply) for one in read_evidence(request).samples}
    assert facts == {
        "simple_0": ("stop", 4, None, 0.5),
        "simple_1": ("stop", 2, None, 0.5),
        "multi_turn_base_0": ("stop", 12, None, 0.5),
    }


HLE = """
tasks:
  hle:
    metrics:
      judged: {scores: {correct: {value: 0.5, stats: {count: 1, stderr: 0.5}}, total: {value: 3.0, stats: {count: 9}}}}
"""


def test_of_a_harness_without_known_files_there_are_the_conversations(tmp_path: Path) -> None:
    """Equal ones are repeats."""
    request = _request(tmp_path, "hle", limit=1)
    chat = {"messages": [{"role": "user", "content": [{"type": "text", "text": "Why?"}, {"type": "image_url"}]}]}
    tools = {"message": {"content": None, "tool_calls": [{"id": "1"}]}, "finish_reason": "tool_calls"}
    _answered(
        request,
        (chat, {"choices": [{"message": {"content": "one"}}], "usage": {"completion_tokens": 7}}),
        ({"input": ["vector"]}, {"data": [{"embedding": [1.0]}]}),
        (chat, {"choices": [{"message": {"content": "two"}}]}),
        ({**chat, "messages": [*chat["messages"], {"role": "tool", "content": "42"}]}, {"choices": [tools]}),
    )
    evidence = read_evidence(request)
    assert [(one.doc_id, one.repeat, one.prompt, one.answer) for one in evidence.samples] == [
        (0, 0, "Why?", "one"),
        (1, 0, "vector", None),
        (0, 1, "Why?", "two"),
        (2, 0, "42", [{"id": "1"}]),
    ]
    assert evidence.samples[0].reply.completion_tokens == 7
    assert (evidence.asked, evidence.unanswered) == (3, 0)
    assert request.limit is not None
    assert evidence.asked <= request.limit * evidence.limited_parts
    metrics = build_metrics(_results(HLE), evidence, request)
    assert [(one.name, one.n, one.stderr, one.higher_is_better) for one in metrics] == [
        ("judged_correct", 1, None, None),
        ("judged_total", 3, None, None),
    ]
