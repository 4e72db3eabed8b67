"""The runner with the real lm-eval; failures that all harnesses share are in test_failure_modes.py."""

import json
import math
import signal
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from fakes.openai_server import FakeOpenAIServer, logprob
from lm_eval_bench import CHOOSE, GENERATE, LmEvalBench
from runner_bench import TIMEOUT_S, Preloaded
from snakeval.harnesses import harness_of
from workspace import eventually

HARNESS = harness_of("lm-eval")


@pytest.fixture
def bench(tmp_path: Path, lm_eval_python: Path, preloaded_lm_eval: Preloaded) -> LmEvalBench:
    """A bench with task `mini`: four questions, of which the server knows three."""
    made = LmEvalBench(tmp_path, lm_eval_python, preloaded=preloaded_lm_eval)
    answers = ["yes", "yes", "yes", "no"]
    made.define("mini", GENERATE, [{"q": f"q{i} [[answer:{a}]]", "a": "yes"} for i, a in enumerate(answers)])
    return made


def test_a_score_with_all_that_belongs_to_it(bench: LmEvalBench) -> None:
    with FakeOpenAIServer(api_key="secret") as server, bench.guarded(server) as guarded:
        options: dict[str, Any] = {"parallelism": 1, "system_prompt": "Be brief.", "max_new_tokens": 5, "stop": ["."]}
        ended = bench.run_alone(bench.command(guarded, **options))
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
    assert 0 <= sample["latency_s"] < TIMEOUT_S
    assert sample["prompt"] == "<system>\nBe brief.\n\n<user>\nq3 [[answer:no]]"
    assert list((ended.work_dir / "lm_eval").glob("results_0.json"))


FAULTS: dict[str, tuple[str, dict[str, Any], str, int]] = {
    "only reasoning": ("reasoning", {}, "thought only (4x), e.g. 'reasoning was ended by the token limit", 4),
    "empty choices": ("empty-choices", {}, "not an answer (4x), e.g. 'it has no choices", 4),
    "not JSON": ("not-json", {}, "not an answer (4x), e.g. 'it is not JSON: <html>", 4),
    "too slow": ("slow:5", {"request_timeout_s": 1}, "timeout (4x), e.g. 'no answer within 1 s'", 4),
    "drops connections": ("drop", {}, "unreachable (4x), e.g. 'the connection was lost: ServerDisconnectedError", 4),
    "dies": ("die-after:2", {}, "2 of 4 samples got no answer: unreachable (2x)", 2),
    "refuses one": ("status-if:400:q2", {}, "1 of 4 samples got no answer: rejected (1x), e.g. 'HTTP 400", 1),
}


@pytest.mark.parametrize(("fault", "settings", "message", "failed"), FAULTS.values(), ids=FAULTS.keys())
def test_a_fault_is_a_failure_and_never_a_score(
    bench: LmEvalBench, fault: str, settings: dict[str, Any], message: str, failed: int
) -> None:
    with FakeOpenAIServer(faults=(fault,)) as server, bench.guarded(server, **settings) as guarded:
        ended = bench.run(guarded, parallelism=1)
        assert len(guarded.gateway.end().kinds) == (1 if failed == 4 else 2), "the other requests went on"
    assert ended.status == 1, ended.log
    assert ended.read("outcome") is None
    assert ended.read("progress") == {"done": 4, "total": 4}
    error = ended.read("error")
    assert error["kind"] == "endpoint"
    assert message in error["message"]
    assert (error["asked"], error["answered"], error["failed"]) == (4, 4 - failed, failed)


def test_without_hope_it_ends_soon(bench: LmEvalBench) -> None:
    bench.define("many", GENERATE, [{"q": f"q{i}", "a": "yes"} for i in range(60)])
    with FakeOpenAIServer(faults=("status:400",)) as server, bench.guarded(server) as guarded:
        ended = bench.run(guarded, "many", parallelism=2)
        assert guarded.gateway.end().hopeless
    assert ended.status == 1
    assert "60 of 60 samples got no answer: unreachable (" in ended.read("error")["message"]
    assert 10 <= len(server.payloads) <= 12


def test_after_a_signal_only_the_unanswered_is_asked(bench: LmEvalBench) -> None:
    """It ends at once; what SIGKILL does is in test_failure_modes.py."""
    # Two of the prompts are the same: each of them counts.
    bench.define("many", GENERATE, [{"q": f"q{max(i, 1)} [[answer:yes]]", "a": "yes"} for i in range(10)])
    with FakeOpenAIServer(faults=("hold-after:4",)) as server, bench.guarded(server) as guarded:
        process = bench.start(bench.command(guarded, "many", parallelism=2))
        # It asks again only when the gateway has remembered the last answer.
        server.wait_for_requests(6, TIMEOUT_S)
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 128 + signal.SIGTERM
        eventually(lambda: guarded.gateway.told.kinds == {"answered": 4}, 20, "the gateway's count")
        guarded.gateway.process.kill()
    assert not (bench.work_dir / "outcome.json").exists()
    with FakeOpenAIServer() as server:
        for asked in (6, 0):
            server.payloads.clear()
            with bench.guarded(server) as guarded:
                ended = bench.run(guarded, "many", parallelism=2)
                told = guarded.gateway.end()
            assert ended.status == 0, ended.log
            assert (len(server.payloads), told.sent, told.remembered) == (asked, asked, 10 - asked)
            assert told.completion_tokens == 10


def test_a_gateway_that_is_started_again_is_waited_for(bench: LmEvalBench) -> None:
    bench.define("many", GENERATE, [{"q": f"q{i} [[answer:yes]]", "a": "yes"} for i in range(6)])
    with FakeOpenAIServer(faults=("hold-after:3",)) as server:
        with bench.guarded(server, life="one") as guarded:
            process = bench.start(bench.command(guarded, "many", parallelism=1))
            server.wait_for_requests(4, TIMEOUT_S)
            guarded.gateway.process.kill()
            port = urlsplit(guarded.base_url).port
        server.release()
        with bench.guarded(server, life="one", port=port):
            assert process.wait(TIMEOUT_S) == 0
    ended = bench.ended(0)
    assert ended.read("outcome")["metrics"][0]["value"] == 1.0
    assert len(server.payloads) == 7, "the one that was lost is asked again"


def test_repeats_are_other_samples_and_not_more_documents(bench: LmEvalBench) -> None:
    told = ["yes|yes|yes", "yes|no|no", "no|no|no", "yes|yes|no"]
    bench.define("many", GENERATE, [{"q": f"q{i} [[answer:{text}]]", "a": "yes"} for i, text in enumerate(told)])
    with FakeOpenAIServer() as server, bench.guarded(server) as guarded:
        ended = bench.run(guarded, "many", repeats=3, temperature=0.7, top_p=0.9)
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
    with FakeOpenAIServer() as server, bench.guarded(server) as guarded:
        ended = bench.run(guarded, "both", repeats=3, temperature=0.7)
    assert ended.status == 0, ended.log
    outcome = ended.read("outcome")
    metrics = {metric["subtask"]: (round(metric["value"], 6), metric["n"]) for metric in outcome["metrics"]}
    assert metrics == {"a": (1.0, 4), "b": (round(1 / 3, 6), 2), None: (round((4 + 2 / 3) / 6, 6), 6)}
    assert outcome["samples"]["asked"] == 6


ROWS = [{"q": f"Is it so {i}:", "a": i % 2} for i in range(6)]


def test_loglikelihoods_are_those_of_the_server(bench: LmEvalBench) -> None:
    bench.define("choose", CHOOSE, ROWS)
    with FakeOpenAIServer(api_key="secret") as server, bench.guarded(server) as guarded:
        ended = bench.run(guarded, "choose", protocol="loglikelihood")
    assert ended.status == 0, ended.log
    likelier = [0 if logprob(f"{i}:", "yes") > logprob(f"{i}:", "no") else 1 for i in range(6)]
    assert set(likelier) == {0, 1}
    metric = ended.read("outcome")["metrics"][0]
    assert metric["value"] == pytest.approx(sum(best == row["a"] for best, row in zip(likelier, ROWS, strict=True)) / 6)
    assert (metric["name"], metric["n"], ended.read("outcome")["samples"]["asked"]) == ("acc", 6, 6)
    assert [line["answer"] for line in ended.samples] == [("yes", "no")[best] for best in likelier]
    assert [line["expected"] for line in ended.samples] == [("yes", "no")[i % 2] for i in range(6)]
    assert len(server.payloads) == 12


GREEDY = """
output_type: loglikelihood
doc_to_text: "{{q}}"
target_delimiter: ""
doc_to_target: "{{q[-2]}}"
metric_list: [{metric: acc}, {metric: perplexity}]
"""
ROLLING = """
output_type: loglikelihood_rolling
doc_to_text: ""
doc_to_target: "{{q}}"
metric_list: [{metric: word_perplexity}, {metric: bits_per_byte}]
"""


def test_the_numbers_are_those_of_lm_eval_called_by_hand(bench: LmEvalBench) -> None:
    bodies = {"choose": CHOOSE, "greedy": GREEDY, "rolling": ROLLING}
    for name, body in bodies.items():
        bench.define(name, body, ROWS)
    (bench.folder / "tasks" / "all.yaml").write_text("group: all\ntask: [choose, greedy, rolling]\n")
    # A prompt goes through the tokenizer and back; one for letters gives every text back.
    with FakeOpenAIServer(faults=("letters",)) as server, bench.guarded(server) as guarded:
        ended = bench.run(guarded, "all", protocol="loglikelihood")
        assert ended.status == 0, ended.log
        metrics = {(one["subtask"], one["name"]): one["value"] for one in ended.read("outcome")["metrics"]}
        values = {"model": server.model, "base_url": f"{server.base_url}/completions", "num_concurrent": "2"}
        hand = [str(bench.python), "-m", "lm_eval", "--model", "local-completions", "--tasks", ",".join(bodies)]
        hand += ["--model_args", ",".join(f"{name}={value}" for name, value in values.items())]
        hand += ["--include_path", str(bench.folder / "tasks"), "--output_path", str(bench.folder / "hand.json")]
        subprocess.run(hand, env=bench.environ(bench.command(server)), timeout=TIMEOUT_S, check=True)
    told = json.loads(next(bench.folder.glob("hand*.json")).read_text())["results"]
    assert metrics == {(name, metric): told[name][f"{metric},none"] for name, metric in metrics}
    assert {name for name, _ in metrics} == set(bodies)
    assert 0 < metrics["greedy", "acc"] < 1


@pytest.mark.parametrize("fault", ["off-by-one", "no-echo"])
def test_wrong_logprobs_are_refused(bench: LmEvalBench, fault: str) -> None:
    bench.define("choose", CHOOSE, ROWS)
    with FakeOpenAIServer(faults=(fault,)) as server, bench.guarded(server) as guarded:
        ended = bench.run(guarded, "choose", protocol="loglikelihood")
    assert ended.status == 1
    assert ended.read("outcome") is None
    assert ended.read("error")["kind"] == "endpoint"
    assert "6 of 6 samples got no answer: " in ended.read("error")["message"]
    assert "log-probabilities do not fit (" in ended.read("error")["message"]


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
