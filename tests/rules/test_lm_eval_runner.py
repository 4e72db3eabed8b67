"""The runner with the real lm-eval; failures that all harnesses share are in test_failure_modes.py."""

import json
import math
import signal
from pathlib import Path
from typing import Any

import pytest
from fakes.openai_server import FakeOpenAIServer, logprob
from lm_eval_bench import CHOOSE, GENERATE, LmEvalBench
from runner_bench import TIMEOUT_S, Preloaded
from snakeval.harnesses import harness_of

HARNESS = harness_of("lm-eval")


@pytest.fixture
def bench(tmp_path: Path, lm_eval_python: Path, preloaded_lm_eval: Preloaded) -> LmEvalBench:
    """A bench with task `mini`: four questions, of which the server knows three."""
    made = LmEvalBench(tmp_path, lm_eval_python, preloaded=preloaded_lm_eval)
    answers = ["yes", "yes", "yes", "no"]
    made.define("mini", GENERATE, [{"q": f"q{i} [[answer:{a}]]", "a": "yes"} for i, a in enumerate(answers)])
    return made


def test_a_score_with_all_that_belongs_to_it(bench: LmEvalBench) -> None:
    with FakeOpenAIServer(api_key="secret") as server:
        options: dict[str, Any] = {"parallelism": 1, "system_prompt": "Be brief.", "max_new_tokens": 5, "stop": ["."]}
        ended = bench.run_alone(bench.command(server, **options))
    assert ended.status == 0, ended.log
    outcome = ended.read("outcome")
    assert outcome["metrics"] == [
        {
            "name": "exact_match",
            "filter": "none",
            "subtask": None,
            "value": 0.75,
            "stderr": pytest.approx(0.25),
            "n": 4,
            "higher_is_better": True,
        }
    ]
    assert outcome["samples"] == {"asked": 4, "answered": 4, "failed": 0}
    assert outcome["requests"] == {"sent": 4, "cached": 0, "retried": 0}
    assert outcome["tokens"] == {"prompt": 16, "completion": 4}
    assert outcome["versions"]["lm_eval"] == "0.4.13"
    assert outcome["versions"]["task"] == {"mini": 1.0}
    assert ended.read("progress") == {"done": 4, "total": 4}
    assert "progress: 4/4" in ended.log
    assert len(HARNESS.outcome(ended.work_dir).metrics) == 1
    first = {key: value for key, value in server.payloads[0].items() if key != "messages"}
    assert first == {"model": "fake-model", "max_tokens": 5, "temperature": 0, "stop": ["."], "seed": 1234}
    assert [message["role"] for message in server.payloads[0]["messages"]] == ["system", "user"]
    sample = next(line for line in ended.samples if line["doc_id"] == 3)
    assert (sample["answer"], sample["expected"], sample["metrics"]) == ("no", "yes", {"exact_match[none]": 0.0})
    assert (sample["finish_reason"], sample["prompt_tokens"], sample["completion_tokens"]) == ("stop", 4, 1)
    assert sample["prompt"] == "<system>\nBe brief.\n\n<user>\nq3 [[answer:no]]"
    assert list((ended.work_dir / "lm_eval").glob("results_0.json"))


FAULTS: dict[str, tuple[str, dict[str, Any], str, int]] = {
    "only reasoning": (
        "reasoning",
        {},
        "no content (4x), e.g. 'finish_reason length, all tokens went into reasoning'",
        4,
    ),
    "empty choices": ("empty-choices", {}, "answer has no choices (4x)", 4),
    "not JSON": ("not-json", {}, "answer is not JSON (4x), e.g. '<html>this is not JSON", 4),
    "too slow": ("slow:5", {"request_timeout_s": 1}, "timeout (4x), e.g. 'no answer within 1 s'", 4),
    "drops connections": ("drop", {}, "connection error (4x), e.g. 'ServerDisconnectedError", 4),
    "dies": ("die-after:2", {"parallelism": 1}, "2 of 4 samples got no answer: connection error (2x)", 2),
}


@pytest.mark.parametrize(("fault", "options", "message", "failed"), FAULTS.values(), ids=FAULTS.keys())
def test_a_fault_is_a_failure_and_never_a_score(
    bench: LmEvalBench, fault: str, options: dict[str, Any], message: str, failed: int
) -> None:
    with FakeOpenAIServer(faults=(fault,)) as server:
        ended = bench.run(server, **options)
    assert ended.status == 1, ended.log
    assert ended.read("outcome") is None
    error = ended.read("error")
    assert error["kind"] == "endpoint"
    assert message in error["message"]
    assert (error["asked"], error["answered"], error["failed"]) == (4, 4 - failed, failed)
    cached = ended.work_dir / "requests.jsonl"
    assert cached.read_text().count("\n") == 4 - failed
    if fault != "die-after:2":
        assert len(server.payloads) == 4


def test_a_hopeless_endpoint_is_given_up_early(bench: LmEvalBench) -> None:
    bench.define("many", GENERATE, [{"q": f"q{i}", "a": "yes"} for i in range(60)])
    with FakeOpenAIServer(faults=("status:400",)) as server:
        ended = bench.run(server, "many", parallelism=2, max_retries=5)
    assert ended.status == 1
    assert "gave up after 10 failed requests in a row" in ended.read("error")["message"]
    assert ended.read("error")["failed"] == 60
    assert 10 <= len(server.payloads) <= 12


@pytest.mark.parametrize("status", [503, 429])
def test_passing_faults_are_retried(bench: LmEvalBench, status: int) -> None:
    with FakeOpenAIServer(faults=(f"status-every:{status}:3",)) as server:
        ended = bench.run(server, parallelism=1, max_retries=3)
    assert ended.status == 0, ended.log
    assert ended.read("outcome")["metrics"][0]["value"] == 0.75
    assert ended.read("outcome")["requests"] == {"sent": 4, "cached": 0, "retried": 1}
    pause_s = server.arrivals[3] - server.arrivals[2]
    # 503: the first back-off of 0.5 s +- 20 %. 429: the server asks for 1 s.
    assert pause_s >= (1.0 if status == 429 else 0.4)


def test_after_a_signal_only_the_unanswered_is_asked(bench: LmEvalBench) -> None:
    """It ends at once; what SIGKILL does is in test_failure_modes.py."""
    # Two of the prompts are the same: each of them counts.
    bench.define("many", GENERATE, [{"q": f"q{max(i, 1)} [[answer:yes]]", "a": "yes"} for i in range(10)])
    with FakeOpenAIServer(faults=("hold-after:4",)) as server:
        process = bench.start(bench.command(server, "many", parallelism=2))
        # A worker asks again only when its last answer is in the cache.
        server.wait_for_requests(6, TIMEOUT_S)
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 128 + signal.SIGTERM
    assert bench.answers == 4
    assert not (bench.work_dir / "outcome.json").exists()
    with FakeOpenAIServer() as server:
        ended = bench.run(server, "many", parallelism=2)
        assert ended.status == 0, ended.log
        assert len(server.payloads) == 6
        assert ended.read("outcome")["requests"] == {"sent": 6, "cached": 4, "retried": 0}
        assert ended.read("outcome")["tokens"]["completion"] == 10
        again = bench.run(server, "many", parallelism=2)
        assert again.read("outcome")["requests"] == {"sent": 0, "cached": 10, "retried": 0}
        assert len(server.payloads) == 6


def test_repeats_are_other_samples_and_not_more_documents(bench: LmEvalBench) -> None:
    told = ["yes|yes|yes", "yes|no|no", "no|no|no", "yes|yes|no"]
    bench.define("many", GENERATE, [{"q": f"q{i} [[answer:{text}]]", "a": "yes"} for i, text in enumerate(told)])
    with FakeOpenAIServer() as server:
        ended = bench.run(server, "many", repeats=3, temperature=0.7, top_p=0.9)
    assert ended.status == 0, ended.log
    by_prompt: dict[str, set[str]] = {}
    for payload in server.payloads:
        by_prompt.setdefault(payload["messages"][0]["content"], set()).add(json.dumps(payload))
    assert [len(payloads) for payloads in by_prompt.values()] == [3, 3, 3, 3]
    assert {payload["seed"] for payload in server.payloads} == {1234, 1235, 1236}
    assert {(payload["temperature"], payload["top_p"]) for payload in server.payloads} == {(0.7, 0.9)}
    outcome = ended.read("outcome")
    metric = outcome["metrics"][0]
    assert (metric["value"], metric["n"]) == (pytest.approx(0.5), 4)
    # The samples' means are 1, 1/3, 0, 2/3: deviations 1/2, 1/6, 1/2, 1/6.
    assert metric["stderr"] == pytest.approx(math.sqrt((1 / 4 + 1 / 36 + 1 / 4 + 1 / 36) / 3) / 2)
    assert outcome["samples"] == {"asked": 4, "answered": 4, "failed": 0}
    assert sorted((line["doc_id"], line["repeat"]) for line in ended.samples) == [
        (doc, repeat) for doc in range(4) for repeat in range(3)
    ]
    assert ended.read("progress") == {"done": 12, "total": 12}


def test_an_empty_answer_is_an_answer(bench: LmEvalBench) -> None:
    bench.define("silent", GENERATE, [{"q": f"q{i} [[answer:]]", "a": "yes"} for i in range(3)])
    with FakeOpenAIServer() as server:
        ended = bench.run(server, "silent", protocol="completions", parallelism=1)
    assert ended.status == 0, ended.log
    assert ended.read("outcome")["metrics"][0]["value"] == 0.0
    assert [line["answer"] for line in ended.samples] == ["", "", ""]
    assert {payload["prompt"] for payload in server.payloads} == {f"q{i} [[answer:]]" for i in range(3)}


def test_a_group_names_its_members(bench: LmEvalBench) -> None:
    bench.define("a", GENERATE, [{"q": f"a{i} [[answer:yes]]", "a": "yes"} for i in range(4)])
    bench.define("b", GENERATE, [{"q": f"b{i} [[answer:yes|no|no]]", "a": "yes"} for i in range(2)])
    group = "group: both\ntask: [a, b]\naggregate_metric_list: [{metric: exact_match, weight_by_size: true}]\n"
    (bench.folder / "tasks" / "both.yaml").write_text(group + "metadata: {version: 1.0}\n")
    with FakeOpenAIServer() as server:
        ended = bench.run(server, "both", repeats=3, temperature=0.7)
    assert ended.status == 0, ended.log
    outcome = ended.read("outcome")
    metrics = {metric["subtask"]: (round(metric["value"], 6), metric["n"]) for metric in outcome["metrics"]}
    assert metrics == {"a": (1.0, 4), "b": (round(1 / 3, 6), 2), None: (round((4 + 2 / 3) / 6, 6), 6)}
    assert outcome["samples"]["asked"] == 6


ROWS = [{"q": f"Is it so {i}:", "a": i % 2} for i in range(6)]


def test_loglikelihoods_are_those_of_the_server(bench: LmEvalBench) -> None:
    bench.define("choose", CHOOSE, ROWS)
    with FakeOpenAIServer(api_key="secret") as server:
        ended = bench.run(server, "choose", protocol="loglikelihood")
    assert ended.status == 0, ended.log
    likelier = [0 if logprob(f"{i}:", "yes") > logprob(f"{i}:", "no") else 1 for i in range(6)]
    assert set(likelier) == {0, 1}
    metric = ended.read("outcome")["metrics"][0]
    assert metric["value"] == pytest.approx(sum(best == row["a"] for best, row in zip(likelier, ROWS, strict=True)) / 6)
    assert (metric["name"], metric["n"], ended.read("outcome")["samples"]["asked"]) == ("acc", 6, 6)
    assert [line["answer"] for line in ended.samples] == [("yes", "no")[best] for best in likelier]
    assert [line["expected"] for line in ended.samples] == [("yes", "no")[i % 2] for i in range(6)]
    assert ended.read("outcome")["requests"]["sent"] == 12


@pytest.mark.parametrize("fault", ["off-by-one", "no-echo"])
def test_wrong_logprobs_are_refused(bench: LmEvalBench, fault: str) -> None:
    bench.define("choose", CHOOSE, ROWS)
    with FakeOpenAIServer(faults=(fault,)) as server:
        ended = bench.run(server, "choose", protocol="loglikelihood")
    assert ended.status == 1
    assert ended.read("outcome") is None
    assert ended.read("error")["kind"] == "endpoint"
    assert "the endpoint's logprobs are not usable" in ended.read("error")["message"]


def _break_task(bench: LmEvalBench, old: str, new: str) -> None:
    path = bench.folder / "tasks" / "mini.yaml"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))


UNUSABLE: dict[str, tuple[tuple[str, str], dict[str, Any], str]] = {
    "unknown": (("task: mini", "task: minis"), {}, "there is no task 'mini' in {tasks}; did you mean minis?"),
    "broken YAML": (("test_split: test", "test_split: [test"), {}, "not readable: {tasks}/mini.yaml"),
    "choice by chat": (("generate_until", "multiple_choice"), {}, "use protocol loglikelihood"),
    "text by loglikelihood": (("task: mini", "task: mini"), {"protocol": "loglikelihood"}, "use protocol chat"),
    "no data": (("dataset_path: json", "dataset_path: no/where"), {}, "set evaluation.data_dir"),
    "missing package": (
        ('doc_to_text: "{{q}}"', "doc_to_text: !function needy.text"),
        {},
        "Python package 'no_such_pkg'",
    ),
    "its own bug": (('doc_to_target: "{{a}}"', "doc_to_target: !function buggy.target"), {}, "ZeroDivisionError"),
}


@pytest.mark.parametrize(("change", "options", "message"), UNUSABLE.values(), ids=UNUSABLE.keys())
def test_a_task_that_cannot_run_says_why(
    bench: LmEvalBench, change: tuple[str, str], options: dict[str, Any], message: str
) -> None:
    tasks = bench.folder / "tasks"
    (tasks / "needy.py").write_text("import no_such_pkg\n\ntext = no_such_pkg.text\n")
    (tasks / "buggy.py").write_text("def target(doc):\n    return 1 / 0\n")
    _break_task(bench, *change)
    with FakeOpenAIServer() as server:
        ended = bench.run(server, **options)
    assert ended.status == 1, ended.log
    assert ended.read("outcome") is None
    assert ended.read("error")["kind"] == "harness"
    assert message.format(tasks=tasks) in ended.read("error")["message"]
    assert server.payloads == []
