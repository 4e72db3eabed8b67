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
from harness_cases import a_config, a_task
from inspect_bench import KEY, InspectBench
from runner_bench import TIMEOUT_S, Preloaded
from snakeval.endpoint import Endpoint
from snakeval.errors import EndpointError, HarnessError
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
    with FakeOpenAIServer(api_key=KEY) as server:
        options: dict[str, Any] = {
            "parallelism": 1,
            "system_prompt": "Be brief.",
            "max_new_tokens": 5,
            "stop": ["."],
            "temperature": 0,
        }
        ended = bench.run_alone(bench.command(server, **options))
    assert ended.status == 0, ended.log
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
    assert outcome["requests"] == {"sent": 4, "cached": 0, "retried": 0}
    assert outcome["tokens"] == {"prompt": 16, "completion": 4}
    assert outcome["versions"]["inspect_ai"] == "0.3.285"
    assert ended.read("progress") == {"done": 4, "total": 4}
    assert len(HARNESS.outcome(ended.work_dir).metrics) == 1
    first = {key: value for key, value in server.payloads[0].items() if key != "messages"}
    assert first == {"model": "fake-model", "max_tokens": 5, "temperature": 0, "stop": ["."], "seed": 1234}
    assert [message["role"] for message in server.payloads[0]["messages"]] == ["system", "user"]
    sample = next(line for line in ended.samples if line["doc_id"] == 4)
    assert (sample["answer"], sample["expected"], sample["metrics"]) == ("no", "yes", {"accuracy[match]": 0.0})
    assert (sample["finish_reason"], sample["prompt_tokens"], sample["completion_tokens"]) == ("stop", 4, 1)
    assert sample["prompt"] == "<system>\nBe brief.\n\n<user>\nq3 [[answer:no]]"
    (log,) = (ended.work_dir / "inspect").glob("*.json")
    assert json.loads(log.read_text())["status"] == "success"


def test_the_key_is_sent_and_written_nowhere(bench: InspectBench) -> None:
    with FakeOpenAIServer(api_key=KEY) as server:
        command = bench.command(server)
        # Keys of the user's other services must not reach this endpoint; it would refuse them.
        assert bench.start(command, OPENAI_API_KEY="sk-other", SNAKEVAL_API_KEY="sk-other").wait(TIMEOUT_S) == 0
    assert KEY not in " ".join(command.argv) + repr(command)
    for path in bench.folder.rglob("*"):
        if path.is_file():
            assert KEY.encode() not in path.read_bytes(), path


def test_a_user_s_options_for_inspect_change_nothing(bench: InspectBench) -> None:
    with FakeOpenAIServer() as server:
        command = bench.command(server)
        process = bench.start(command, INSPECT_EVAL_EPOCHS="3", INSPECT_EVAL_LIMIT="1", INSPECT_EVAL_TEMPERATURE="1")
        assert process.wait(TIMEOUT_S) == 0
    assert len(server.payloads) == 4
    assert not any("temperature" in payload for payload in server.payloads)


FAULTS: dict[str, tuple[str, dict[str, Any], str, int]] = {
    "403": ("status:403", {"max_retries": 5}, "4 of 4 samples got no answer: HTTP 403 (4x)", 4),
    "413": ("status:413", {"max_retries": 5}, "4 of 4 samples got no answer: HTTP 413 (4x)", 4),
    "422": ("status:422", {"max_retries": 5}, "4 of 4 samples got no answer: HTTP 422 (4x)", 4),
    "only reasoning": (
        "reasoning",
        {},
        "no content (4x), e.g. 'finish_reason length, all tokens went into reasoning'",
        4,
    ),
    "empty choices": ("empty-choices", {}, "answer has no choices (4x)", 4),
    "not JSON": ("not-json", {}, "answer is not JSON (4x), e.g. '<html>this is not JSON", 4),
    "too slow": ("slow:5", {"request_timeout_s": 1}, "timeout (4x), e.g. 'no answer within 1 s'", 4),
    "drops connections": ("drop", {}, "connection error (4x), e.g. 'RemoteProtocolError", 4),
    "dies": ("die-after:2", {"parallelism": 1}, "2 of 4 samples got no answer: connection error (2x)", 2),
}


@pytest.mark.parametrize(("fault", "options", "message", "failed"), FAULTS.values(), ids=FAULTS.keys())
def test_a_fault_is_a_failure_and_never_a_score(
    bench: InspectBench, fault: str, options: dict[str, Any], message: str, failed: int
) -> None:
    with FakeOpenAIServer(faults=(fault,)) as server:
        ended = bench.run(server, **options)
    assert ended.status == 1, ended.log
    assert ended.read("outcome") is None
    # Inspect wrote its own log all the same, and ended with no error of its process.
    (log,) = (ended.work_dir / "inspect").glob("*.json")
    assert json.loads(log.read_text())["status"] == "error"
    error = ended.read("error")
    assert error["kind"] == "endpoint"
    assert message in error["message"]
    assert (error["asked"], error["answered"], error["failed"]) == (4, 4 - failed, failed)
    assert isinstance(HARNESS.failure(ended.work_dir, ended.status), EndpointError)
    assert (ended.work_dir / "requests.jsonl").read_text().count("\n") == 4 - failed
    if fault != "die-after:2":
        assert len(server.payloads) == 4


def test_a_hopeless_endpoint_is_given_up_early(bench: InspectBench) -> None:
    bench.define("many", [{"q": f"q{i}", "a": "yes"} for i in range(60)])
    with FakeOpenAIServer(faults=("status:400",)) as server:
        ended = bench.run(server, "many", parallelism=2, max_retries=5)
    assert ended.status == 1
    assert "gave up after 10 failed requests in a row" in ended.read("error")["message"]
    assert ended.read("error")["failed"] == 60
    assert 10 <= len(server.payloads) <= 12


@pytest.mark.parametrize("status", [503, 429])
def test_passing_faults_are_retried(bench: InspectBench, status: int) -> None:
    with FakeOpenAIServer(faults=(f"status-every:{status}:3",)) as server:
        ended = bench.run(server, parallelism=1, max_retries=3)
    assert ended.status == 0, ended.log
    assert ended.read("outcome")["metrics"][0]["value"] == 0.75
    assert ended.read("outcome")["requests"] == {"sent": 4, "cached": 0, "retried": 1}
    if status == 429:
        assert server.arrivals[3] - server.arrivals[2] >= 1.0, "the server asks for 1 s"


def test_after_a_signal_only_the_unanswered_is_asked(bench: InspectBench) -> None:
    """It ends at once; what SIGKILL does is in test_failure_modes.py."""
    # Two of the prompts are the same: each of them counts.
    bench.define("many", [{"q": f"q{max(i, 1)} [[answer:yes]]", "a": "yes"} for i in range(10)])
    with FakeOpenAIServer(faults=("hold-after:4",)) as server:
        process = bench.start(bench.command(server, "many", parallelism=2))
        # A connection asks again only when its last answer is in the journal.
        server.wait_for_requests(6, TIMEOUT_S)
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 128 + signal.SIGTERM
        sent = [json.dumps(payload) for payload in server.payloads[:4]]
    assert bench.answers == 4
    assert not (bench.work_dir / "outcome.json").exists()
    with FakeOpenAIServer() as server:
        ended = bench.run(server, "many", parallelism=2)
        assert ended.status == 0, ended.log
        assert len(server.payloads) == 6
        twins = [text for text in sent if '"q1 ' in text]
        assert all(text not in sent or text in twins for text in map(json.dumps, server.payloads))
        assert ended.read("outcome")["requests"] == {"sent": 6, "cached": 4, "retried": 0}
        assert ended.read("outcome")["tokens"]["completion"] == 10
        assert ended.read("outcome")["metrics"][0]["value"] == 1.0
        again = bench.run(server, "many", parallelism=2)
        assert again.read("outcome")["requests"] == {"sent": 0, "cached": 10, "retried": 0}
        assert len(server.payloads) == 6


def test_repeats_are_other_samples_and_not_more_documents(bench: InspectBench) -> None:
    told = ["yes|yes|yes", "yes|no|no", "no|no|no", "yes|yes|no"]
    bench.define("many", [{"q": f"q{i} [[answer:{text}]]", "a": "yes"} for i, text in enumerate(told)])
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
    with FakeOpenAIServer() as server:
        ended = bench.run(server, "silent", parallelism=1)
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
    with FakeOpenAIServer(faults=("status-if:500:q2",)) as server:
        ended = bench.run(server)
    assert ended.status == 1, ended.log
    assert ended.read("outcome") is None
    assert "after requests without an answer, which is no score: HTTP 500 (1x)" in ended.read("error")["message"]


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
    assert get_model().name == "fake-model", "the model is known while the task is made"
    return Task(dataset=json_dataset("many.jsonl", QUESTIONS), solver=vote(), scorer=[judge(), match()])
"""


def test_several_requests_of_a_sample_and_several_scorers(bench: InspectBench) -> None:
    bench.define("many", [{"q": f"q{i} [[answer:yes|no|yes]]", "a": "yes"} for i in range(4)], VOTES)
    with FakeOpenAIServer() as server:
        ended = bench.run(server, "many", temperature=0.7)
    assert ended.status == 0, ended.log
    # Seeds 1234, 1235 and 1236: one of the three says no.
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


def test_a_task_of_inspect_evals_on_a_copy_of_its_data(
    bench: InspectBench, inspect_evals_python: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    copies = bench.folder / "copies"
    write_gsm8k(copies / "openai" / "gsm8k" / "main")
    task = replace(a_task("inspect_evals", limit=3, extra={"fewshot": 0}, **bench.settings), task="gsm8k")
    with FakeOpenAIServer() as server:
        endpoint = Endpoint(server.base_url, server.model, None)
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
    with FakeOpenAIServer() as server:
        ended = bench.run(server, **options)
    assert ended.status == 1, ended.log
    assert ended.read("outcome") is None
    assert ended.read("error")["kind"] == "harness"
    assert message in ended.read("error")["message"]
    assert len(server.payloads) == sent
    assert type(HARNESS.failure(ended.work_dir, ended.status)) is HarnessError
    assert "OPENAI_API_KEY" not in os.environ
