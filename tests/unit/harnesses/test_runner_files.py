"""The files through which Snakeval and the programs of harnesses talk: read as they were written, damaged ones told."""

import json
from pathlib import Path

import pytest
from snakeval.errors import HarnessError
from snakeval.harnesses import harness_of
from snakeval.harnesses.outcome import read_outcome
from snakeval.harnesses.runners.snakeval_runners.lm_eval.request import Generation, LmEvalRequest
from snakeval.harnesses.runners.snakeval_runners.shared.fields import Fields
from snakeval.harnesses.runners.snakeval_runners.shared.outcome import (
    FailureRecord,
    OutcomeRecord,
    ReportedMetric,
    SampleCounts,
    write_failure,
    write_outcome,
)
from snakeval.harnesses.runners.snakeval_runners.shared.replies import describe, facts_of, joined, refusal_of
from snakeval.harnesses.runners.snakeval_runners.shared.request import read_request
from snakeval.harnesses.runners.snakeval_runners.shared.samples import ReplyFacts, Sample, write_samples
from snakeval.system.files import write_json

METRIC = ReportedMetric("acc", "none", None, 0.5, None, 2, True)


def _request(folder: Path) -> LmEvalRequest:
    paths = ("outcome_path", "samples_path", "progress_path", "error_path", "harness_output_path")
    return LmEvalRequest(
        task="sums",
        limit=None,
        repeats=2,
        parallelism=8,
        include_paths=[],
        include_defaults=True,
        protocol="chat",
        model="m",
        base_url="http://h/v1",
        tokenizer=None,
        seed=1,
        num_fewshot=None,
        system_prompt=None,
        generation=Generation(0.5, None, None, ["\n"]),
        **{name: folder / name for name in paths},
    )


def test_a_request_is_read_as_it_was_written(tmp_path: Path) -> None:
    request = _request(tmp_path)
    write_json(tmp_path / "request.json", request.content())
    assert read_request(tmp_path / "request.json", LmEvalRequest) == request


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [("outcome_path", 3, "outcome_path: 3 is not a text"), ("generation", [], "is not a JSON object")],
)
def test_a_damaged_request_is_told(tmp_path: Path, name: str, value: object, said: str) -> None:
    path = tmp_path / "request.json"
    write_json(path, _request(tmp_path).content() | {name: value})
    with pytest.raises(SystemExit, match=said):
        read_request(path, LmEvalRequest)
    path.write_text(path.read_text()[:50])
    with pytest.raises(SystemExit, match=r"request\.json is no request: JSONDecodeError"):
        read_request(path, LmEvalRequest)


def test_an_outcome_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "outcome.json"
    write_outcome(path, OutcomeRecord((METRIC,), SampleCounts(2, 2), versions={"lm_eval": "1", "task": {"sums": 1.0}}))
    outcome = read_outcome(path)
    assert (outcome.metrics[0].name, outcome.metrics[0].value, outcome.metrics[0].ci_low) == ("acc", 0.5, None)
    assert (outcome.asked, outcome.prompt_tokens, outcome.requests_sent) == (2, None, None)
    assert outcome.versions == {"lm_eval": "1", "task": {"sums": 1.0}}


def test_a_failure_has_its_counts_beside_its_message(tmp_path: Path) -> None:
    path = tmp_path / "error.json"
    write_failure(path, FailureRecord("endpoint", "no", SampleCounts(3, 2, 1)))
    expected = {"kind": "endpoint", "message": "no", "asked": 3, "answered": 2, "failed": 1}
    assert json.loads(path.read_text()) == expected


@pytest.mark.parametrize(("text", "said"), [('{"kind": "end', "JSONDecodeError"), ("[]", "is not a JSON object")])
def test_a_damaged_failure_is_told(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "error.json").write_text(text)
    failure = harness_of("lm-eval").failure(tmp_path, 1)
    assert isinstance(failure, HarnessError)
    assert "lm-eval ended with exit status 1 and left a damaged" in str(failure)
    assert said in str(failure)


def test_what_the_gateway_refuses_is_told_by_kind() -> None:
    told = [("busy", "busy: HTTP 429:\n slow down"), ("rejected", "rejected: HTTP 400"), ("busy", "busy: HTTP 429")]
    errors = [{"type": "snakeval_gateway", "code": kind, "message": message} for kind, message in told]
    refusals = [refusal for error in errors if (refusal := refusal_of(Fields(error)))]
    message = "2 of 4 samples got no answer: busy (2x), rejected (1x), e.g. 'HTTP 429: slow down'"
    assert describe(refusals, asked=4, failed=2) == message
    assert refusal_of(Fields({"type": "invalid_request_error", "code": "busy", "message": "no"})) is None


def test_the_facts_of_a_sample_are_those_of_all_its_answers() -> None:
    choices = [{"index": 0, "finish_reason": "tool_calls"}, {"index": 1, "finish_reason": "stop"}]
    first = {"choices": choices, "usage": {"prompt_tokens": 3}, "snakeval": {"latency_s": 0.1}}
    second = {
        "choices": choices[1:],
        "usage": {"prompt_tokens": 4, "completion_tokens": 2},
        "snakeval": {"latency_s": 1},
    }
    assert joined([facts_of(Fields(body)) for body in (first, second)]) == ReplyFacts("tool_calls", 7, 2, 1.1)
    assert joined([facts_of(Fields({"choices": choices}))]) == ReplyFacts("tool_calls")
    assert joined([]) == ReplyFacts()


def test_a_sample_is_one_flat_line(tmp_path: Path) -> None:
    path = tmp_path / "samples.jsonl"
    plain = Sample("t", 0, 1, "Why?", "Because.", None, {"acc": 1.0}, ReplyFacts("stop", 3, 5, 0.1))
    write_samples(path, [plain, Sample(None, "id", 0, "", None, object(), {}, extracted={"match": "x"})])
    first, second = harness_of("lm-eval").samples(tmp_path)
    assert first == {
        "task": "t",
        "doc_id": 0,
        "repeat": 1,
        "prompt": "Why?",
        "answer": "Because.",
        "expected": None,
        "metrics": {"acc": 1.0},
        "finish_reason": "stop",
        "prompt_tokens": 3,
        "completion_tokens": 5,
        "latency_s": 0.1,
    }
    assert (second["extracted"], second["expected"].startswith("<object")) == ({"match": "x"}, True)
