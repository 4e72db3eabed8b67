"""NVIDIA's harnesses with the core of NeMo Evaluator, against a server that misbehaves on demand."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fakes.openai_server import FakeOpenAIServer
from rules.nemo_bench import HARNESS, TASKS, TIMEOUT_S, NemoBench
from snakeval.environments import ensure_environment
from workspace import REPOSITORY


@pytest.fixture
def bench_of(tmp_path: Path) -> Callable[[str], NemoBench]:
    """Make a bench of a harness with four questions, of which the server knows three."""

    def make(harness: str) -> NemoBench:
        made = NemoBench(tmp_path, ensure_environment(REPOSITORY / "envs" / f"{TASKS[harness][1]}.lock"), harness)
        right, wrong = ("Answer: A #### 42", "Answer: B #### 41")
        made.ask(right, right, right, wrong)
        return made

    return make


@pytest.fixture
def bench(bench_of: Callable[[str], NemoBench]) -> NemoBench:
    """A bench of simple-evals."""
    return bench_of("simple_evals")


def test_a_score_with_all_that_belongs_to_it(bench: NemoBench) -> None:
    with FakeOpenAIServer(api_key="secret") as server:
        ended = bench.run(server, limit=4, max_new_tokens=7, system_prompt="Be brief.")
    assert ended.status == 0, ended.log
    outcome = HARNESS.outcome(ended.work_dir)
    (metric,) = outcome.metrics
    assert (metric.name, metric.filter, metric.subtask, metric.value, metric.n) == ("score", "none", None, 0.75, 4)
    assert metric.stderr == pytest.approx(0.25)
    assert (outcome.asked, outcome.answered, outcome.requests_sent, outcome.requests_cached) == (4, 4, 4, 0)
    assert (outcome.versions["nemo-evaluator"], outcome.versions["nvidia-simple-evals"]) == ("0.2.8", "26.3")
    payload = server.payloads[0]
    assert (payload["max_tokens"], payload["temperature"], payload["model"]) == (7, 0.0, "fake-model")
    assert [message["role"] for message in payload["messages"]] == ["system", "user"]
    samples = {sample["doc_id"]: sample for sample in ended.samples}
    assert (samples[3]["answer"], samples[3]["expected"]) == ("Answer: B #### 41", "A")
    assert [samples[number]["metrics"]["score"] for number in range(4)] == [1.0, 1.0, 1.0, 0.0]
    assert samples[0]["completion_tokens"] == 4
    assert ended.read("progress") == {"done": 4, "total": 4}
    kept = [path.read_text(errors="replace") for path in ended.work_dir.rglob("*") if path.is_file()]
    assert not any("secret" in text for text in [*kept, ended.log])


FAULTS: dict[str, tuple[tuple[str, ...], dict[str, Any], str]] = {
    "all 5xx": (("status:500",), {}, "requests got no answer: HTTP 500"),
    "all 4xx": (("status:400",), {}, "requests got no answer: HTTP 400"),
    "wrong key": ((), {"api_key": "another"}, "requests got no answer: HTTP 401"),
    "null contents": (("null",), {}, "requests got no answer: no content"),
    "partial": (("null-if:q2",), {}, "1 of 4 requests got no answer: no content (1x), e.g. 'finish_reason length'"),
    "dies": (("die-after:2",), {"parallelism": 1}, "1 of 3 requests got no answer: connection error"),
}


@pytest.mark.parametrize(("faults", "options", "message"), FAULTS.values(), ids=FAULTS.keys())
def test_a_fault_is_a_failure_and_never_a_score(
    bench: NemoBench, faults: tuple[str, ...], options: dict[str, Any], message: str
) -> None:
    with FakeOpenAIServer(api_key="secret", faults=faults) as server:
        ended = bench.run(server, **options)
    assert ended.status == 1, ended.log
    assert ended.read("outcome") is None
    assert ended.read("error")["kind"] == "endpoint"
    assert message in ended.read("error")["message"]
    assert str(HARNESS.failure(ended.work_dir, ended.status)) == ended.read("error")["message"]


def test_a_dead_endpoint_is_a_failure_whatever_report_there_is(bench: NemoBench) -> None:
    with FakeOpenAIServer() as server:
        server.close()
        ended = bench.run(server)
    assert ended.status == 1, ended.log
    assert "requests got no answer: connection error" in ended.read("error")["message"]
    assert (ended.work_dir / "nemo_evaluator" / "report.json").exists(), "the core writes one all the same"
    assert ended.read("outcome") is None


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("null", "requests got no answer: no content"),
        ("die-after:1", "1 of 2 requests got no answer: connection error"),
    ],
)
@pytest.mark.parametrize("harness", ["lm-evaluation-harness", "bfcl"])
def test_what_other_harnesses_score_as_wrong_answers_is_a_failure(
    bench_of: Callable[[str], NemoBench], harness: str, fault: str, message: str
) -> None:
    """BFCL writes errors in the place of answers and ends well; lm-eval takes a missing text for an empty one."""
    bench = bench_of(harness)
    with FakeOpenAIServer(faults=(fault,)) as server:
        ended = bench.run(server, limit=2, max_retries=0, parallelism=1)
    assert ended.status == 1, ended.log
    assert ended.read("outcome") is None
    assert message in ended.read("error")["message"]


def test_a_hopeless_endpoint_is_given_up_early(bench_of: Callable[[str], NemoBench]) -> None:
    """BFCL would go on to its end."""
    bench = bench_of("bfcl")
    with FakeOpenAIServer(faults=("status:400",)) as server:
        ended = bench.run(server, limit=60, parallelism=1)
    assert ended.status == 1, ended.log
    assert "requests got no answer: HTTP 400" in ended.read("error")["message"]
    assert 10 <= len(server.payloads) < 60


def test_a_missing_dataset_is_named(bench: NemoBench) -> None:
    (bench.folder / "data" / "TIGER-Lab" / "MMLU-Pro" / "test.jsonl").unlink()
    (bench.folder / "data" / "TIGER-Lab" / "MMLU-Pro" / "README.md").unlink()
    (bench.folder / "data" / "TIGER-Lab" / "MMLU-Pro").rmdir()
    with FakeOpenAIServer() as server:
        ended = bench.run(server)
    assert ended.status == 1, ended.log
    assert ended.read("error")["kind"] == "harness"
    assert "the dataset of task mmlu_pro cannot be loaded" in ended.read("error")["message"]
    assert "set evaluation.data_dir" in ended.read("error")["message"]
    assert server.payloads == []


@pytest.mark.parametrize("harness", list(TASKS))
def test_after_a_kill_only_the_unanswered_is_asked(bench_of: Callable[[str], NemoBench], harness: str) -> None:
    """Two of the questions are the same: each of them counts. Nothing of the killed attempt goes on."""
    bench = bench_of(harness)
    bench.ask("Answer: A #### 42", "Answer: A #### 42", *["Answer: B"] * 4)
    with FakeOpenAIServer(faults=("hold-after:3",)) as server:
        process = bench.start(bench.command(server, limit=6, parallelism=1))
        server.wait_for_requests(4, TIMEOUT_S)
        process.kill()
        assert process.wait(10) == -9
        assert len(_answers(bench)) == 3
        with FakeOpenAIServer() as other:
            ended = bench.run(other, limit=6, parallelism=1)
            assert ended.status == 0, ended.log
            assert len(other.payloads) == 3
        server.release()
        assert len(server.payloads) == 4
    outcome = HARNESS.outcome(ended.work_dir)
    assert (outcome.requests_sent, outcome.requests_cached, outcome.asked) == (3, 3, 6)
    assert harness == "bfcl" or outcome.metrics[0].value == pytest.approx(2 / 6)
    assert len(list(HARNESS.samples(ended.work_dir))) == 6


def _answers(bench: NemoBench) -> list[dict[str, Any]]:
    lines = (bench.folder / "work" / "answers.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def test_repeats_are_other_requests_and_not_more_samples(bench: NemoBench) -> None:
    bench.ask("Answer: A|Answer: B", "Answer: A")
    with FakeOpenAIServer() as server:
        ended = bench.run(server, repeats=3, temperature=0.7)
    assert ended.status == 0, ended.log
    assert len(server.payloads) == 6
    assert len({json.dumps(payload) for payload in server.payloads}) == 6
    outcome = HARNESS.outcome(ended.work_dir)
    assert (outcome.asked, outcome.metrics[0].n, outcome.requests_sent) == (2, 2, 6)
    assert sorted((one["doc_id"], one["repeat"]) for one in ended.samples) == [
        (d, r) for d in range(2) for r in range(3)
    ]
    scores = [one["metrics"]["score"] for one in ended.samples]
    assert outcome.metrics[0].value == pytest.approx(sum(scores) / 6)
    assert outcome.metrics[0].stderr is None, "the harness groups answers by when they came"


def test_equal_requests_of_an_adapter_that_caches_are_all_sent(bench: NemoBench) -> None:
    """`params_to_remove` makes the repeats the same, and `use_caching` would answer them all with the first answer."""
    adapter = {"params_to_remove": ["seed"], "use_caching": True, "params_to_add": {"min_p": 0.1}}
    bench.ask("Answer: A")
    with FakeOpenAIServer() as server:
        ended = bench.run(server, repeats=3, temperature=0.7, adapter_config=adapter)
    assert ended.status == 0, ended.log
    assert len(server.payloads) == 3
    assert {(json.dumps(payload), payload["min_p"]) for payload in server.payloads} == {
        (json.dumps(server.payloads[0]), 0.1)
    }


def test_a_header_names_the_variable_that_holds_its_value(bench: NemoBench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_AUTHORIZATION", "Bearer secret")
    bench.ask("Answer: A")
    adapter = {"headers_to_add": {"Authorization": "MY_AUTHORIZATION"}}
    with FakeOpenAIServer(api_key="secret") as server:
        ended = bench.run(server, api_key=None, adapter_config=adapter)
    assert ended.status == 0, ended.log
    kept = [path.read_text(errors="replace") for path in ended.work_dir.rglob("*") if path.is_file()]
    assert not any("Bearer secret" in text for text in [*kept, ended.log])


def test_reasoning_is_taken_away_before_the_harness_sees_it(bench: NemoBench) -> None:
    bench.ask("<think>Answer: B</think>Answer: A")
    adapter = {"process_reasoning_traces": True}
    with FakeOpenAIServer() as server:
        ended = bench.run(server, adapter_config=adapter)
    assert ended.status == 0, ended.log
    assert HARNESS.outcome(ended.work_dir).metrics[0].value == 1.0
    assert ended.samples[0]["answer"] == "Answer: A"
