"""NVIDIA's harnesses with the core of NeMo Evaluator; failures that all harnesses share: test_failure_modes.py."""

import json
from pathlib import Path
from typing import Any

import pytest
from fakes.openai_server import FakeOpenAIServer
from nemo_bench import NemoBench, nemo_bench
from snakeval.harnesses import harness_of

HARNESS = harness_of("nemo-evaluator")


@pytest.fixture
def bench(tmp_path: Path) -> NemoBench:
    """A bench of simple-evals with four questions, of which the server knows three."""
    return nemo_bench(tmp_path, "simple_evals")


def test_a_score_with_all_that_belongs_to_it(bench: NemoBench) -> None:
    with FakeOpenAIServer(api_key="secret") as server:
        ended, told = bench.run_counted(server, server.api_key, limit=4, max_new_tokens=7, system_prompt="Be brief.")
    assert ended.status == 0, ended.log
    outcome = HARNESS.outcome(ended.work_dir)
    (metric,) = outcome.metrics
    assert (metric.name, metric.filter, metric.subtask, metric.value, metric.n) == ("score", "none", None, 0.75, 4)
    assert metric.stderr == pytest.approx(0.25)
    assert (outcome.asked, outcome.answered, told.sent, told.remembered) == (4, 4, 4, 0)
    assert (outcome.versions["nemo-evaluator"], outcome.versions["nvidia-simple-evals"]) == ("0.2.8", "26.3")
    payload = server.payloads[0]
    assert (payload["max_tokens"], payload["temperature"], payload["model"]) == (7, 0.0, "fake-model")
    assert [message["role"] for message in payload["messages"]] == ["system", "user"]
    samples = {sample["doc_id"]: sample for sample in ended.samples}
    assert (samples[3]["answer"], samples[3]["expected"]) == ("Answer: B #### 41", "A")
    assert [samples[number]["metrics"]["score"] for number in range(4)] == [1.0, 1.0, 1.0, 0.0]
    for sample in samples.values():
        assert (sample["finish_reason"], sample["completion_tokens"]) == ("stop", 4)
        assert sample["latency_s"] > 0
    assert ended.read("progress") == {"done": 4, "total": 4}
    kept = [path.read_text(errors="replace") for path in ended.work_dir.rglob("*") if path.is_file()]
    assert not any("secret" in text for text in [*kept, ended.log])


def test_a_hopeless_endpoint_is_given_up_early(tmp_path: Path) -> None:
    """BFCL goes on to its end, and nobody is asked any more."""
    bench = nemo_bench(tmp_path, "bfcl")
    with FakeOpenAIServer(faults=("status:400",)) as server:
        ended, told = bench.run_counted(server, limit=60, parallelism=1)
    assert ended.status == 1, ended.log
    assert told.hopeless
    assert "requests got no answer: rejected" in ended.read("error")["message"]
    assert 10 <= len(server.payloads) < 60


def test_repeats_are_other_requests_and_not_more_samples(bench: NemoBench) -> None:
    bench.ask("Answer: A|Answer: B", "Answer: A")
    with FakeOpenAIServer() as server:
        ended, told = bench.run_counted(server, repeats=3, temperature=0.7)
    assert ended.status == 0, ended.log
    assert len(server.payloads) == 6
    assert len({json.dumps(payload) for payload in server.payloads}) == 6
    outcome = HARNESS.outcome(ended.work_dir)
    assert (outcome.asked, outcome.metrics[0].n, told.sent) == (2, 2, 6)
    assert all(one["finish_reason"] and one["latency_s"] for one in ended.samples)
    assert sorted((one["doc_id"], one["repeat"]) for one in ended.samples) == [
        (d, r) for d in range(2) for r in range(3)
    ]
    scores = [one["metrics"]["score"] for one in ended.samples]
    assert outcome.metrics[0].value == pytest.approx(sum(scores) / 6)
    assert outcome.metrics[0].stderr is None, "the harness groups answers by when they came"


@pytest.mark.parametrize(
    "adapter",
    [
        {"params_to_remove": ["seed"], "use_caching": True, "params_to_add": {"min_p": 0.1}},
        {"params_to_remove": ["seed"], "use_request_logging": True, "params_to_add": {"min_p": 0.1}},
        {
            "interceptors": [
                {
                    "name": "payload_modifier",
                    "config": {
                        "params_to_remove": ["seed"],
                        "params_to_add": {"min_p": 0.1},
                        "headers_to_add": {"X-Mine": "MY_HEADER"},
                    },
                },
                "request_logging",
                {"name": "caching", "config": {"cache_dir": "CACHE", "reuse_cached_responses": True}},
                "endpoint",
            ]
        },
    ],
    ids=["gateway", "gateway and NVIDIA's adapter", "NVIDIA's adapter"],
)
def test_equal_requests_of_an_adapter_that_caches_are_all_sent(
    bench: NemoBench, monkeypatch: pytest.MonkeyPatch, adapter: dict[str, Any]
) -> None:
    """Without their seeds the repeats are equal, and a cache would answer them all with the first answer."""
    monkeypatch.setenv("MY_HEADER", "secret")
    adapter = json.loads(json.dumps(adapter).replace("CACHE", str(bench.folder / "cache")))
    bench.ask("Answer: A")
    with FakeOpenAIServer() as server:
        ended, _ = bench.run_counted(server, repeats=3, temperature=0.7, adapter_config=adapter)
    assert ended.status == 0, ended.log
    assert len(server.payloads) == 3
    assert {(json.dumps(payload), payload["min_p"]) for payload in server.payloads} == {
        (json.dumps(server.payloads[0]), 0.1)
    }
    assert "seed" not in server.payloads[0]
    assert ("Incoming request" in ended.log) == ("request_logging" in json.dumps(adapter)), ended.log
    assert all(one["finish_reason"] for one in ended.samples)


def test_a_header_names_the_variable_that_holds_its_value(bench: NemoBench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_AUTHORIZATION", "Bearer secret")
    bench.ask("Answer: A")
    adapter = {"headers_to_add": {"Authorization": "MY_AUTHORIZATION"}}
    with FakeOpenAIServer(api_key="secret") as server:
        ended, _ = bench.run_counted(server, adapter_config=adapter)
    assert ended.status == 0, ended.log
    kept = [path.read_text(errors="replace") for path in ended.work_dir.rglob("*") if path.is_file()]
    assert not any("Bearer secret" in text for text in [*kept, ended.log])


def test_reasoning_is_taken_away_before_the_harness_sees_it(bench: NemoBench) -> None:
    bench.ask("<think>Answer: B</think>Answer: A")
    adapter = {"process_reasoning_traces": True}
    with FakeOpenAIServer() as server:
        ended, _ = bench.run_counted(server, adapter_config=adapter)
    assert ended.status == 0, ended.log
    assert HARNESS.outcome(ended.work_dir).metrics[0].value == 1.0
    assert ended.samples[0]["answer"] == "Answer: A"
