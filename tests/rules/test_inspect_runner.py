"""The runner with the real Inspect; failures that all harnesses share are in test_failure_modes.py."""

import json
import math
import os
import signal
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from datasets_like import write_gsm8k
from fakes.openai_server import FakeOpenAIServer
from gateway_bench import TOKEN
from harness_cases import a_config, a_task
from inspect_bench import KEY, InspectBench
from runner_bench import TIMEOUT_S, Preloaded
from snakeval.endpoint import Endpoint
from snakeval.errors import EndpointError, HarnessError
from snakeval.evaluation.harness_process import without_proxy
from snakeval.harnesses import harness_of
from workspace import REPOSITORY

HARNESS = harness_of("inspect")


@pytest.fixture
def bench(tmp_path: Path, inspect_python: Path, preloaded_inspect: Preloaded) -> InspectBench:
    """A bench with task `mini`: four questions, of which the server knows three."""
    made = InspectBench(tmp_path, inspect_python, preloaded=preloaded_inspect)
    answers = ["yes", "yes", "yes", "no"]
    made.define("mini", [{"q": f"q{i} [[answer:{a}]]", "a": "yes"} for i, a in enumerate(answers)])
    return made


def test_a_score_with_all_that_belongs_to_it(bench: InspectBench) -> None:
    with FakeOpenAIServer(api_key=KEY) as server, bench.guarded(server) as asked:
        options: dict[str, Any] = {
            "parallelism": 1,
            "system_prompt": "Be brief.",
            "max_new_tokens": 5,
            "stop": ["."],
            "temperature": 0,
        }
        ended = bench.run_alone(bench.command(asked, **options))
        told = asked.gateway.end()
    assert ended.status == 0, ended.log
    assert (told.sent, told.remembered, told.again, told.unauthorised) == (4, 0, 0, 0)
    assert (told.prompt_tokens, told.completion_tokens) == (16, 4)
    outcome = ended.read("outcome")
    assert outcome["metrics"] == [
        {
            "name": "accuracy",
            "filter": "match",
            "subtask": None,
            "value": 0.75,
            "stderr": pytest.approx(0.25),
            "n": 4,
            "higher_is_better": True,
        }
    ]
    assert outcome["samples"] == {"asked": 4, "answered": 4, "failed": 0}
    # The gateway counts them.
    assert outcome["requests"] == {"sent": None, "cached": None, "retried": None}
    assert outcome["tokens"] == {"prompt": None, "completion": None}
    assert outcome["versions"]["inspect_ai"] == "0.3.285"
    assert ended.read("progress") == {"done": 4, "total": 4}
    assert len(HARNESS.outcome(ended.work_dir).metrics) == 1
    first = {key: value for key, value in server.payloads[0].items() if key != "messages"}
    assert first == {"model": "fake-model", "max_tokens": 5, "temperature": 0, "stop": ["."], "seed": 1234}
    assert [message["role"] for message in server.payloads[0]["messages"]] == ["system", "user"]
    sample = next(line for line in ended.samples if line["doc_id"] == 4)
    assert (sample["answer"], sample["expected"], sample["metrics"]) == ("no", "yes", {"accuracy[match]": 0.0})
    assert (sample["finish_reason"], sample["prompt_tokens"], sample["completion_tokens"]) == ("stop", 4, 1)
    assert 0 < sample["latency_s"] < TIMEOUT_S
    assert sample["prompt"] == "<system>\nBe brief.\n\n<user>\nq3 [[answer:no]]"
    (log,) = (ended.work_dir / "inspect").glob("*.json")
    assert json.loads(log.read_text())["status"] == "success"


def test_the_gateway_s_token_is_sent_and_written_nowhere(bench: InspectBench) -> None:
    with FakeOpenAIServer(api_key=KEY) as server, bench.guarded(server) as asked:
        command = bench.command(asked)
        # Keys of the user's other services must not reach the gateway; it would refuse them. Nobody is at their proxy.
        other = {"OPENAI_API_KEY": "sk-other", "OPENAI_BASE_URL": "http://[::1]", "HTTP_PROXY": "http://[::1]:9"}
        assert bench.start(command, **other, **without_proxy({})).wait(TIMEOUT_S) == 0
    assert TOKEN not in " ".join(command.argv) + repr(command)
    for path in bench.folder.rglob("*"):
        if path.is_file():
            assert TOKEN.encode() not in path.read_bytes(), path


def test_a_user_s_options_for_inspect_change_nothing(bench: InspectBench) -> None:
    with FakeOpenAIServer() as server, bench.guarded(server) as asked:
        command = bench.command(asked)
        process = bench.start(command, INSPECT_EVAL_EPOCHS="3", INSPECT_EVAL_LIMIT="1", INSPECT_EVAL_TEMPERATURE="1")
        assert process.wait(TIMEOUT_S) == 0
    assert len(server.payloads) == 4
    assert not any("temperature" in payload for payload in server.payloads)


TOO_LONG = "says:input length 9000 exceeds the model's context_length"
FAULTS: dict[str, tuple[tuple[str, ...], str, int]] = {
    "403": (("status:403",), "4 of 4 samples got no answer: rejected (4x), e.g. 'HTTP 403", 4),
    "413": (("status:413",), "4 of 4 samples got no answer: rejected (4x), e.g. 'HTTP 413", 4),
    "422": (("status:422",), "4 of 4 samples got no answer: rejected (4x), e.g. 'HTTP 422", 4),
    # Inspect makes an answer of it.
    "too long": (
        ("status-if:400:q2", f"says:{TOO_LONG}"),
        "1 of 4 samples got no answer: rejected (1x), e.g. 'HTTP",
        1,
    ),
    "500": (("status:500",), "4 of 4 samples got no answer: server error (4x), e.g. 'HTTP 500", 4),
    "only reasoning": (
        ("reasoning",),
        "thought only (4x), e.g. 'reasoning was ended by the token limit, before any text'",
        4,
    ),
    "dies": (("die-after:2",), "2 of 4 samples got no answer: unreachable (2x)", 2),
}


@pytest.mark.parametrize(("faults", "message", "failed"), FAULTS.values(), ids=FAULTS.keys())
def test_a_fault_is_a_failure_and_never_a_score(
    bench: InspectBench, faults: tuple[str, ...], message: str, failed: int
) -> None:
    with FakeOpenAIServer(faults=faults) as server, bench.guarded(server) as asked:
        ended = bench.run(asked, parallelism=1)
    assert ended.status == 1, ended.log
    assert ended.read("outcome") is None
    # Inspect wrote its own log all the same, and ended with no error of its process.
    (log,) = (ended.work_dir / "inspect").glob("*.json")
    assert json.loads(log.read_text())["status"] == ("success" if "status-if:400:q2" in faults else "error")
    error = ended.read("error")
    assert error["kind"] == "endpoint"
    assert message in error["message"]
    assert (error["asked"], error["answered"], error["failed"]) == (4, 4 - failed, failed)
    assert isinstance(HARNESS.failure(ended.work_dir, ended.status), EndpointError)
    if "die-after:2" not in faults:
        # The client asks no second time; that is the gateway's task.
        assert len(server.payloads) == 4


def test_a_hopeless_endpoint_is_given_up_early(bench: InspectBench) -> None:
    bench.define("many", [{"q": f"q{i}", "a": "yes"} for i in range(60)])
    with FakeOpenAIServer(faults=("status:400",)) as server, bench.guarded(server) as asked:
        ended = bench.run(asked, "many", parallelism=2)
    assert ended.status == 1
    assert "60 of 60 samples got no answer: " in ended.read("error")["message"]
    assert "rejected (1" in ended.read("error")["message"]
    assert "e.g. 'HTTP 400" in ended.read("error")["message"]
    assert ended.read("error")["failed"] == 60
    assert 10 <= len(server.payloads) <= 12


def test_a_gateway_that_is_killed_and_started_again_goes_unnoticed(bench: InspectBench) -> None:
    with FakeOpenAIServer(faults=("hold-after:2",)) as server:
        with bench.guarded(server, life="one") as asked:
            process = bench.start(bench.command(asked, parallelism=1))
            server.wait_for_requests(3, TIMEOUT_S)
            asked.gateway.process.kill()
        server.faults = ()
        server.release()
        port = int(asked.base_url.rpartition(":")[2].partition("/")[0])
        with bench.guarded(server, life="one", port=port) as again:
            assert process.wait(TIMEOUT_S) == 0, (bench.folder / "log.txt").read_text()
            told = again.gateway.end()
    assert (told.sent, told.remembered, told.unanswered) == (4, 0, 0)
    assert len(server.payloads) == 5, "what was in flight is asked again, and nothing else"
    assert bench.ended(0).read("outcome")["metrics"][0]["value"] == 0.75


def test_a_gateway_that_stays_away_is_a_failure_of_the_endpoint(bench: InspectBench) -> None:
    with FakeOpenAIServer() as server, bench.guarded(server) as asked:
        command = bench.command(asked)
    process = bench.start(command)
    assert process.wait(TIMEOUT_S) == 1
    message = bench.ended(1).read("error")["message"]
    assert "4 of 4 samples got no answer: connection error (4x)" in message


def test_after_a_signal_only_the_unanswered_is_asked(bench: InspectBench) -> None:
    """It ends at once; what SIGKILL does is in test_failure_modes.py."""
    # Two of the prompts are the same: each of them counts.
    bench.define("many", [{"q": f"q{max(i, 1)} [[answer:yes]]", "a": "yes"} for i in range(10)])
    with FakeOpenAIServer(faults=("hold-after:4",)) as server, bench.guarded(server) as asked:
        process = bench.start(bench.command(asked, "many", parallelism=2))
        # A connection asks again only when its last answer is in the journal.
        server.wait_for_requests(6, TIMEOUT_S)
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 128 + signal.SIGTERM
        asked.gateway.process.kill()
        sent = [json.dumps(payload) for payload in server.payloads[:4]]
    assert not (bench.work_dir / "outcome.json").exists()
    with FakeOpenAIServer() as server:
        for counts in ((6, 4), (0, 10)):
            with bench.guarded(server) as asked:
                ended = bench.run(asked, "many", parallelism=2)
                told = asked.gateway.end()
            assert ended.status == 0, ended.log
            assert ended.read("outcome")["metrics"][0]["value"] == 1.0
            assert ((told.sent, told.remembered), told.completion_tokens) == (counts, 10)
            assert len(server.payloads) == 6
            assert all(line["latency_s"] > 0 for line in ended.samples)
    twins = [text for text in sent if '"q1 ' in text]
    assert all(text not in sent or text in twins for text in map(json.dumps, server.payloads))


def test_repeats_are_other_samples_and_not_more_documents(bench: InspectBench) -> None:
    told = ["yes|yes|yes", "yes|no|no", "no|no|no", "yes|yes|no"]
    bench.define("many", [{"q": f"q{i} [[answer:{text}]]", "a": "yes"} for i, text in enumerate(told)])
    with FakeOpenAIServer() as server, bench.guarded(server) as asked:
        ended = bench.run(asked, "many", repeats=3, temperature=0.7, top_p=0.9)
    assert ended.status == 0, ended.log
    by_prompt: dict[str, set[str]] = {}
    for payload in server.payloads:
        by_prompt.setdefault(payload["messages"][0]["content"], set()).add(json.dumps(payload))
    assert [len(payloads) for payloads in by_prompt.values()] == [3, 3, 3, 3]
    assert {payload["seed"] for payload in server.payloads} == {1234, 1235, 1236}
    assert {(payload["temperature"], payload["top_p"]) for payload in server.payloads} == {(0.7, 0.9)}
    outcome = ended.read("outcome")
    (metric,) = outcome["metrics"]
    assert (metric["filter"], metric["value"], metric["n"]) == ("match", pytest.approx(0.5), 4)
    by_sample: dict[int, list[float]] = {}
    for line in ended.samples:
        by_sample.setdefault(line["doc_id"], []).append(line["metrics"]["accuracy[match]"])
    means = sorted(sum(values) / 3 for values in by_sample.values())
    assert means == pytest.approx([0, 1 / 3, 2 / 3, 1])
    # The samples' means deviate from theirs by 1/2, 1/6, 1/6, 1/2.
    assert metric["stderr"] == pytest.approx(math.sqrt((1 / 4 + 1 / 36 + 1 / 4 + 1 / 36) / 3) / 2)
    assert outcome["samples"] == {"asked": 4, "answered": 4, "failed": 0}
    assert sorted((line["doc_id"], line["repeat"]) for line in ended.samples) == [
        (doc, repeat) for doc in range(1, 5) for repeat in range(3)
    ]
    assert ended.read("progress") == {"done": 12, "total": 12}


def test_an_empty_answer_is_an_answer(bench: InspectBench) -> None:
    bench.define("silent", [{"q": f"q{i} [[answer:]]", "a": "yes"} for i in range(3)])
    with FakeOpenAIServer() as server, bench.guarded(server) as asked:
        ended = bench.run(asked, "silent", parallelism=1)
    assert ended.status == 0, ended.log
    assert ended.read("outcome")["metrics"][0]["value"] == 0.0
    assert [line["answer"] for line in ended.samples] == ["", "", ""]


SHRUGS = """
@solver
def careless():
    async def solve(state, generate):
        try:
            return await generate(state)
        except Exception:
            return state
    return solve


@task
def mini():
    return Task(dataset=json_dataset("mini.jsonl", QUESTIONS), solver=careless(), scorer=match())
"""


def test_a_task_that_shrugs_off_failed_requests_has_no_score(bench: InspectBench) -> None:
    (bench.folder / "tasks" / "mini.py").write_text((bench.folder / "tasks" / "mini.py").read_text() + SHRUGS)
    with FakeOpenAIServer(faults=("status-if:500:q2",)) as server, bench.guarded(server) as asked:
        ended = bench.run(asked)
    assert ended.status == 1, ended.log
    assert ended.read("outcome") is None
    assert "1 of 4 samples got no answer: server error (1x)" in ended.read("error")["message"]


VOTES = """
@solver
def vote():
    async def solve(state, generate):
        said = [(await get_model().generate(state.messages)).completion for _ in range(3)]
        state.output.completion = max(set(said), key=said.count)
        return state
    return solve


@scorer(metrics={"right": [accuracy(), stderr()], "length": [mean()]})
def judge():
    async def score(state, target):
        text = state.output.completion
        return Score(value={"right": text == target.text, "length": len(text)}, answer=text)
    return score


@task
def many():
    assert get_model().name == "snakeval/fake-model", "the model is known while the task is made"
    return Task(dataset=json_dataset("many.jsonl", QUESTIONS), solver=vote(), scorer=[judge(), match()])
"""


def test_several_requests_of_a_sample_and_several_scorers(bench: InspectBench) -> None:
    bench.define("many", [{"q": f"q{i} [[answer:yes|no|yes]]", "a": "yes"} for i in range(4)], VOTES)
    with FakeOpenAIServer() as server, bench.guarded(server) as asked:
        ended = bench.run(asked, "many", temperature=0.7)
    assert ended.status == 0, ended.log
    # Seeds 1234, 1235 and 1236: one of the three says no.
    assert {payload["seed"] for payload in server.payloads} == {1234, 1235, 1236}
    assert len({json.dumps(payload) for payload in server.payloads}) == 12
    metrics = {(one["name"], one["filter"]): one["value"] for one in ended.read("outcome")["metrics"]}
    assert metrics == {
        ("accuracy", "judge.right"): 1.0,
        ("mean", "judge.length"): 3.0,
        ("accuracy", "match"): 1.0,
    }
    assert ended.samples[0]["metrics"] == {
        "accuracy[judge.right]": 1.0,
        "mean[judge.length]": 3.0,
        "accuracy[match]": 1.0,
    }


AGENT = """
from inspect_ai.solver import basic_agent, use_tools
from inspect_ai.tool import tool


@tool
def add():
    async def execute(x: int, y: int):
        \'\'\'Add two numbers.

        Args:
            x: One.
            y: The other.
        \'\'\'
        return str(x + y)
    return execute


@task
def many():
    return Task(dataset=json_dataset("many.jsonl", QUESTIONS), solver=[use_tools(add()), generate()], scorer=match())
"""


def test_an_agent_with_tools_and_several_turns(bench: InspectBench) -> None:
    calls = ['[[call:add {"x": 1, "y": 2}]]', '[[call:add {"x": 3, "y": 4}]]']
    bench.define("many", [{"q": f"q{i} {' '.join(calls)} [[answer:7|8]]", "a": "7"} for i in range(3)], AGENT)
    with FakeOpenAIServer() as server, bench.guarded(server) as asked:
        ended = bench.run(asked, "many", repeats=2, temperature=0.7)
        told = asked.gateway.end()
    assert ended.status == 0, ended.log
    assert (told.sent, told.kinds) == (18, {"answered": 18})
    results = [[one["content"] for one in payload["messages"] if one["role"] == "tool"] for payload in server.payloads]
    assert sorted(results) == [[]] * 6 + [["3"]] * 6 + [["3", "7"]] * 6
    assert {payload["seed"] for payload in server.payloads} == {1234, 1235}
    # The seeds of the two epochs end in 4 and 5.
    assert sorted(line["answer"] for line in ended.samples) == ["7"] * 3 + ["8"] * 3
    assert ended.read("outcome")["metrics"][0]["value"] == 0.5
    for line in ended.samples:
        assert (line["finish_reason"], line["completion_tokens"]) == ("stop", 3)
        assert line["prompt_tokens"] > 20, "the tokens of all turns"
        assert line["latency_s"] > 0


CHOICES = """
@solver
def best_of():
    async def solve(state, generate):
        output = await get_model().generate(state.messages, config=GenerateConfig(num_choices=3, max_tokens=1))
        said = [choice.message.text for choice in output.choices]
        state.output = output
        state.output.completion = max(set(said), key=said.count)
        return state
    return solve


@task
def many():
    return Task(dataset=json_dataset("many.jsonl", QUESTIONS), solver=best_of(), scorer=match())
"""


def test_several_choices_of_one_request(bench: InspectBench) -> None:
    bench.define("many", [{"q": f"q{i} [[answer:no way|yes|yes sir]]", "a": "yes"} for i in range(3)], CHOICES)
    with FakeOpenAIServer() as server, bench.guarded(server) as asked:
        ended = bench.run(asked, "many", temperature=0.7)
        told = asked.gateway.end()
    assert ended.status == 0, ended.log
    assert [payload["n"] for payload in server.payloads] == [3, 3, 3]
    assert (told.sent, told.kinds) == (3, {"answered": 3, "cut off": 6})
    assert ended.read("outcome")["metrics"][0]["value"] == 1.0
    for line in ended.samples:
        # Seed 1234 begins with the second text.
        assert (line["finish_reason"], line["completion_tokens"], line["answer"]) == ("stop", 3, "yes")
        assert line["latency_s"] > 0


REMEMBERS = """
@task
def many():
    return Task(dataset=json_dataset("many.jsonl", QUESTIONS), solver=generate(cache=True), scorer=match())
"""


def test_what_inspect_remembers_is_not_what_another_endpoint_said(bench: InspectBench) -> None:
    bench.define("many", [{"q": f"q{i} [[answer:yes]]", "a": "yes"} for i in range(3)], REMEMBERS)
    with FakeOpenAIServer() as server, bench.guarded(server) as asked:
        ended = bench.run(asked, "many")
        assert ended.status == 0, ended.log
        assert len(server.payloads) == 3
        # The same address, and answers of another life.
        again = bench.run(asked, "many")
        assert again.status == 0, again.log
        assert len(server.payloads) == 6
        assert all(line["latency_s"] > 0 for line in again.samples)


def test_a_task_of_inspect_evals_on_a_copy_of_its_data(
    bench: InspectBench, inspect_evals_python: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    copies = bench.folder / "copies"
    write_gsm8k(copies / "openai" / "gsm8k" / "main")
    task = replace(a_task("inspect_evals", limit=3, extra={"fewshot": 0}, **bench.settings), task="gsm8k")
    with FakeOpenAIServer() as server, bench.guarded(server) as asked:
        endpoint = Endpoint(asked.base_url, asked.model, asked.api_key)
        config = a_config(data_dir=copies)
        command = HARNESS.command(task, endpoint, bench.work_dir, inspect_evals_python, config)
        process = bench.start(command)
        assert process.wait(TIMEOUT_S) == 0, (bench.folder / "log.txt").read_text()
    outcome = HARNESS.outcome(bench.work_dir)
    assert (outcome.asked, outcome.answered, len(server.payloads)) == (3, 3, 3)
    assert outcome.versions["inspect_evals"] == "0.26.0"
    questions = [json.loads(line)["question"] for line in (copies / "openai/gsm8k/main/test.jsonl").open()][:3]
    for question, sample in zip(questions, HARNESS.samples(bench.work_dir), strict=True):
        # Inspect keeps long texts aside; here they are in their place.
        assert question in sample["prompt"]


def test_the_table_of_inspect_evals_is_up_to_date(inspect_evals_python: Path) -> None:
    script = REPOSITORY / "scripts" / "dev" / "index_inspect_evals_tasks.py"
    assert subprocess.run([inspect_evals_python, script, "--check"], timeout=TIMEOUT_S, check=False).returncode == 0


def _task(dataset: str = 'json_dataset("mini.jsonl", QUESTIONS)', scorer: str = "match()", head: str = "") -> str:
    return f"\n{head}\n\n@task\ndef mini():\n    return Task(dataset={dataset}, solver=generate(), scorer={scorer})\n"


BROKEN_SCORER = """
@scorer(metrics=[accuracy()])
def broken():
    async def score(state, target):
        return {body}
    return score
"""
SILENT = """
@solver
def silent():
    async def solve(state, generate):
        return state
    return solve


"""
UNUSABLE: dict[str, tuple[str, dict[str, Any], str, int]] = {
    "empty dataset": (_task("[]"), {}, "The specified dataset is empty (has no samples)", 0),
    "missing package": (_task(head="import no_such_package"), {}, "Python package 'no_such_package'", 0),
    "missing secret": (
        _task(head="import os\nTOKEN = os.environ['NO_SUCH_TOKEN']"),
        {},
        "task mini needs the environment variable NO_SUCH_TOKEN; give it in env_vars of the task",
        0,
    ),
    "missing secret of a judge": (
        _task(head="GRADER = get_model('openai/gpt-none')"),
        {},
        "OPENAI_API_KEY",
        0,
    ),
    "unknown argument": (_task(), {"extra": {"shots": 3}}, "task mini has no argument 'shots'; it has: no argument", 0),
    "another model": (
        _task(head="from functools import partial\n\nTask = partial(Task, model='mockllm/m')"),
        {},
        "task mini names a model of its own (mockllm/m), and asks no other",
        0,
    ),
    "no request": (
        _task().replace("generate()", "silent()").replace("@task", SILENT + "@task"),
        {},
        "task mini sent no request to the endpoint",
        0,
    ),
    "its own bug": (_task(head="1 / 0"), {}, "Inspect cannot load task mini: ZeroDivisionError", 0),
    "a scorer's bug": (
        _task(scorer="broken()", head=BROKEN_SCORER.format(body="1 / 0")),
        {},
        "4 of 4 samples failed, e.g. sample 1: ",
        4,
    ),
    "no score": (
        _task(scorer="broken()", head=BROKEN_SCORER.format(body='Score(value=float("nan"))')),
        {},
        "scorer broken gave no score to 4 of 4 samples",
        4,
    ),
    "no scorer": (_task(scorer="None"), {}, "Inspect computed no metric for task mini; does it have a scorer?", 4),
}


@pytest.mark.parametrize(("body", "options", "message", "sent"), UNUSABLE.values(), ids=UNUSABLE.keys())
def test_a_task_that_cannot_run_says_why(
    bench: InspectBench, monkeypatch: pytest.MonkeyPatch, body: str, options: dict[str, Any], message: str, sent: int
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    rows = [{"q": f"q{i}", "a": "yes"} for i in range(4)]
    bench.define("mini", rows, body)
    with FakeOpenAIServer() as server, bench.guarded(server) as asked:
        ended = bench.run(asked, **options)
    assert ended.status == 1, ended.log
    assert ended.read("outcome") is None
    assert ended.read("error")["kind"] == "harness"
    assert message in ended.read("error")["message"]
    assert len(server.payloads) == sent
    assert type(HARNESS.failure(ended.work_dir, ended.status)) is HarnessError
    assert "OPENAI_API_KEY" not in os.environ
