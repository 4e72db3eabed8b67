"""The files through which Snakeval and the programs of harnesses talk: read as they were written, damaged ones told."""

import json
from pathlib import Path

import pytest
from snakeval.errors import HarnessError
from snakeval.harnesses import harness_of
from snakeval.harnesses.outcome import read_outcome
from snakeval.harnesses.runners.snakeval_runners.lm_eval.request import Generation, LmEvalRequest
from snakeval.harnesses.runners.snakeval_runners.shared.cache import Reply, RequestCache
from snakeval.harnesses.runners.snakeval_runners.shared.outcome import (
    FailureRecord,
    OutcomeRecord,
    ReportedMetric,
    SampleCounts,
    write_failure,
    write_outcome,
)
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


def test_kept_replies_outlive_a_cut_and_damaged_lines(tmp_path: Path) -> None:
    path = tmp_path / "requests.jsonl"
    # Half of a pair of surrogates, as some models write it.
    reply = Reply("yes \ud83d", "stop", 3, None, 0.25)
    RequestCache(path).put("a", reply)
    with path.open("a") as file:
        file.write('{"key": "b", "answer": "no"}\n[]\n{"key": "c", "answer": "cut sho')
    cache = RequestCache(path)
    cache.put("d", reply)
    again = RequestCache(path)
    assert [again.get(key) for key in "abcd"] == [reply, None, None, reply]


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
