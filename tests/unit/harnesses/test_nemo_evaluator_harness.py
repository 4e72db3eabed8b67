"""Module nemo-evaluator, the pure side: request, environment, refusals, and what is read of the gateway's journal."""

import json
import os
import socket
import subprocess
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from harness_cases import ENDPOINT, a_config, a_task
from snakeval.config.model import Task
from snakeval.endpoint import Endpoint, Protocol
from snakeval.errors import EndpointError, HarnessError
from snakeval.harnesses import harness_of
from snakeval.harnesses.nemo_evaluator import KEY_VARIABLE, build_environment, build_request
from snakeval.harnesses.runner import RUNNERS
from snakeval.harnesses.runners.snakeval_runners.nemo import process
from snakeval.harnesses.runners.snakeval_runners.nemo.adapter import needed
from snakeval.harnesses.runners.snakeval_runners.nemo.journal import Journal
from snakeval.harnesses.runners.snakeval_runners.nemo.process import adapter_port
from snakeval.harnesses.runners.snakeval_runners.shared.failures import RunnerError
from snakeval.run.attempt import Progress

HARNESS = harness_of("nemo-evaluator")
PATH = os.environ["PATH"]
PYTHON = Path("/envs/nvidia/bin/python")


def _task(harness: str = "simple_evals", name: str = "mmlu_pro", **keys: Any) -> Task:
    made = a_task(harness=harness, **keys)
    return replace(made, task=name, environment="nvidia-simple-evals", module="nemo-evaluator")


def _params(task: Task) -> dict[str, Any]:
    config: dict[str, Any] = build_request(task, ENDPOINT, Path("/work")).run_config["config"]
    params: dict[str, Any] = config["params"]
    return params


def test_every_setting_stands_under_the_harness_s_name() -> None:
    """But for what the gateway does: it waits, and sends again."""
    task = _task(
        limit=20,
        repeats=3,
        temperature=0.7,
        top_p=0.9,
        max_new_tokens=64,
        parallelism=16,
        request_timeout_s=60,
        max_retries=2,
        extra={"add_system_prompt": True, "judge": {"url": None}},
    )
    assert _params(task) == {
        "limit_samples": 20,
        "temperature": 0.7,
        "top_p": 0.9,
        "max_new_tokens": 64,
        "parallelism": 16,
        "request_timeout": 86_400,
        "max_retries": 1,
        "extra": {"add_system_prompt": True, "judge": {"url": None}, "n_samples": 3},
    }
    request = build_request(task, ENDPOINT, Path("/work"))
    target = request.run_config["target"]["api_endpoint"]
    assert request.run_config["config"]["type"] == "simple_evals.mmlu_pro"
    assert target["url"] == "http://127.0.0.1:1234/v1/chat/completions"
    assert (target["model_id"], target["type"], target["api_key_name"]) == ("served", "chat", KEY_VARIABLE)
    assert request.journal_path == Path("/journal.jsonl")


def test_what_a_harness_has_no_parameter_for_is_left_to_the_gateway() -> None:
    task = _task("bfcl", "bfclv3", temperature=0.5, max_retries=4, system_prompt="Be brief.", parallelism=2)
    assert _params(task) == {"parallelism": 2}
    request = build_request(task, ENDPOINT, Path("/work"))
    assert request.run_config["target"]["api_endpoint"]["adapter_config"] == {"use_system_prompt": False}


def test_log_likelihoods_need_a_tokenizer_and_the_harness_is_told_how_to_read_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By its own default the harness counts tokens with nothing, and fails when it has loaded everything."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "checkpoint").mkdir()
    unset = {"tokenizer": None, "tokenizer_backend": "None", "tokenized_requests": False}

    def extra(**more: Any) -> dict[str, Any]:
        task = _task("lm-evaluation-harness", "adlr_race", protocol=Protocol.LOGLIKELIHOOD, extra=unset | more)
        found: dict[str, Any] = _params(task)["extra"]
        return found

    with pytest.raises(HarnessError, match=r"adlr_race compares log-likelihoods, .* set tokenizer of the task"):
        extra()
    assert extra(tokenizer="org/model")["tokenizer"] == "org/model"
    assert extra(tokenizer="org/model")["tokenizer_backend"] == "huggingface"
    assert extra(tokenizer="gpt-4", tokenizer_backend="tiktoken")["tokenizer_backend"] == "tiktoken"
    assert extra(tokenizer="checkpoint")["tokenizer"] == str(tmp_path / "checkpoint")


def test_a_system_prompt_needs_a_chat() -> None:
    task = _task("lm-evaluation-harness", "mmlu", protocol=Protocol.COMPLETIONS, system_prompt="Be brief.")
    with pytest.raises(HarnessError, match="system_prompt needs protocol chat"):
        build_request(task, ENDPOINT, Path("/work"))


IDLE: list[dict[str, Any]] = [
    {"name": name, "enabled": True, "config": {}} for name in ("caching", "endpoint", "response_stats")
]
LOGS: dict[str, Any] = {"name": "request_logging", "enabled": True, "config": {}}


@pytest.mark.parametrize(
    ("interceptors", "told", "left"),
    [
        (IDLE, {}, ["endpoint off"]),
        (IDLE, {"post_eval_hooks": ["mine"]}, ["caching", "endpoint", "response_stats"]),
        ([LOGS, *IDLE], {}, ["request_logging", "caching", "endpoint", "response_stats"]),
        ([{**LOGS, "enabled": False}, *IDLE], {}, ["endpoint off"]),
    ],
)
def test_nvidia_s_adapter_runs_only_for_what_the_gateway_does_not_do(
    interceptors: list[dict[str, Any]], told: dict[str, Any], left: list[str]
) -> None:
    chain = needed({"interceptors": deepcopy(interceptors)}, {"target": {"api_endpoint": {"adapter_config": told}}})
    assert [one["name"] + ("" if one["enabled"] else " off") for one in chain["interceptors"]] == left
    configs = [one["config"] for one in chain["interceptors"] if one["name"] == "caching"]
    assert configs in ([], [{"reuse_cached_responses": False}]), "equal requests are asked each"


def test_a_chain_that_would_send_no_request_is_refused() -> None:
    with pytest.raises(RunnerError, match=r"adapter_config\.interceptors lacks endpoint"):
        needed({"interceptors": [LOGS]}, {"target": {"api_endpoint": {"adapter_config": {}}}})


@pytest.mark.parametrize(
    ("protocol", "kind", "path"),
    [
        (Protocol.CHAT, "chat", "/v1/chat/completions"),
        (Protocol.COMPLETIONS, "completions", "/v1/completions"),
        (Protocol.LOGLIKELIHOOD, "completions", "/v1/completions"),
        (Protocol.EMBEDDINGS, "embedding", "/v1/embeddings"),
    ],
)
def test_protocols(protocol: Protocol, kind: str, path: str) -> None:
    task = _task("lm-evaluation-harness", "mmlu", protocol=protocol, extra={"tokenizer": "org/model"})
    target = build_request(task, ENDPOINT, Path("/work")).run_config["target"]["api_endpoint"]
    assert (target["type"], target["url"].endswith(path)) == (kind, True)


@pytest.mark.parametrize(
    ("endpoint", "work", "settings", "said"),
    [
        (Endpoint("http://h/v1", "a; b", None), "/work", {}, "the served model's name is 'a; b'"),
        (Endpoint("http://h/v1", "$(id)", None), "/work", {}, "the served model's name"),
        (ENDPOINT, "/my work", {}, "the folder of results is '/my work/nemo_evaluator'"),
        (ENDPOINT, "/work", {"extra": {"args": "--x; id"}}, "cannot take ';'"),
        (ENDPOINT, "/work", {"extra": {"judge": {"url": "http://j/$(id)"}}}, "cannot take '$'"),
        (ENDPOINT, "/work", {"extra": {"custom_config": {"prompt": "it's"}}}, 'cannot take "\'"'),
    ],
)
def test_nothing_reaches_the_harness_s_shell_that_it_would_take_for_more(
    endpoint: Endpoint, work: str, settings: dict[str, Any], said: str
) -> None:
    with pytest.raises(HarnessError) as error:
        build_request(_task(**settings), endpoint, Path(work))
    assert said in str(error.value)
    assert "quotes nothing" in str(error.value)


def test_a_missing_secret_is_named_before_anything_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JUDGE_API_KEY", raising=False)
    task = _task(name="AIME_2025")
    with pytest.raises(HarnessError, match=r"simple_evals\.AIME_2025 reads a key from JUDGE_API_KEY, which is not set"):
        HARNESS.command(task, ENDPOINT, tmp_path, PYTHON, a_config())
    mapped = replace(task, env_vars={"JUDGE_API_KEY": "host:MY_KEY"})
    assert HARNESS.command(mapped, ENDPOINT, tmp_path, PYTHON, a_config()).argv
    monkeypatch.setenv("JUDGE_API_KEY", "planted")
    assert HARNESS.command(task, ENDPOINT, tmp_path, PYTHON, a_config()).argv


def test_the_key_is_in_the_environment_and_nowhere_else(tmp_path: Path) -> None:
    command = HARNESS.command(_task(), ENDPOINT, tmp_path, PYTHON, a_config())
    assert command.argv == [str(PYTHON), "-P", "-m", "snakeval_runners.nemo", str(tmp_path / "request.json")]
    assert (RUNNERS / "snakeval_runners" / "nemo" / "__main__.py").is_file()
    assert command.env[KEY_VARIABLE] == "top-secret"
    seen = [repr(command), *command.argv, *(path.read_text() for path in tmp_path.iterdir())]
    assert not any("top-secret" in text for text in seen)


def test_the_environment(tmp_path: Path) -> None:
    env = build_environment(_task(), ENDPOINT, tmp_path, PYTHON)
    assert env["NEMO_EVALUATOR_TELEMETRY_LEVEL"] == "0"
    assert env["NEMO_EVALUATOR_LOG_LEVEL"] == "WARNING"
    assert env["PATH"].startswith("/envs/nvidia/bin:")
    assert (env["OPENAI_API_KEY"], env["API_KEY"]) == ("", ""), "a user's own key goes to nobody else"
    judged = replace(_task(), env_vars={"OPENAI_API_KEY": "host:OPENAI_API_KEY"})
    assert "OPENAI_API_KEY" not in build_environment(judged, ENDPOINT, tmp_path, PYTHON)
    assert KEY_VARIABLE not in build_environment(_task(), Endpoint("http://h/v1", "m", None), tmp_path, PYTHON)
    logged = _task(adapter_config={"use_request_logging": True})
    assert "NEMO_EVALUATOR_LOG_LEVEL" not in build_environment(logged, ENDPOINT, tmp_path, PYTHON)


def test_the_adapter_s_port_is_free() -> None:
    ports = {adapter_port("127.0.0.1") for _ in range(5)}
    assert len(ports) > 1
    assert ports < set(range(20000, 32000))
    with pytest.MonkeyPatch.context() as patch, socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        patch.setattr(process, "PORTS", range(port, port + 1))
        with pytest.raises(RunnerError, match=f"no port of 127.0.0.1 is free from {port} to {port}"):
            adapter_port("127.0.0.1")


def test_only_what_an_earlier_attempt_has_left_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SNAKEVAL_HARNESS_FOLDER", "/results/a")
    monkeypatch.setenv("SNAKEVAL_HARNESS_ATTEMPT", "2")
    marks = [("/results/a", "1"), ("/results/a", "2"), ("/results/b", "1")]
    started = [
        subprocess.Popen(
            ["sleep", "60"], env={"SNAKEVAL_HARNESS_FOLDER": folder, "SNAKEVAL_HARNESS_ATTEMPT": attempt, "PATH": PATH}
        )
        for folder, attempt in marks
    ]
    try:
        process.end_leftovers()
        assert [one.poll() is None for one in started] == [False, True, True]
    finally:
        for one in started:
            one.kill()
            one.wait()


def test_progress_bars_are_read_and_not_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = process._Output(tmp_path / "progress.json")
    output.feed("Building contexts: 100%|####| 9/9 [00:00<00:00, 9it/s]\r\n")
    assert not (tmp_path / "progress.json").exists()
    output.feed("hel")
    output.feed("lo\nRequesting API:  50%|##  | 1/2 [00:00<00:00, 9it/s]\r")
    assert HARNESS.progress(tmp_path) == Progress(1, 2)
    output.feed("Requesting API: 100%|####| 2/2 [00:01<00:00, 9it/s]\n[W] Maximum cached responses limit reached\nbye")
    output.end()
    assert HARNESS.progress(tmp_path) == Progress(2, 2)
    assert capsys.readouterr().out == "hello\nbye\n"
    assert output.tail() == "hello\nbye"


def test_the_command_runs_where_the_data_is(tmp_path: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()
    for name in ("outcome.json", "error.json", "samples.jsonl", "progress.json"):
        (work / name).write_text("old")
    assert HARNESS.command(_task(), ENDPOINT, work, PYTHON, a_config()).cwd == work
    assert sorted(path.name for path in work.iterdir()) == ["request.json"]
    config = a_config(data_dir=tmp_path / "data")
    assert HARNESS.command(_task(), ENDPOINT, work, PYTHON, config).cwd == tmp_path / "data"
    own = HARNESS.command(_task(dataset_dir=str(tmp_path / "own")), ENDPOINT, work, PYTHON, config)
    assert (own.cwd, own.env["NEMO_EVALUATOR_DATASET_DIR"]) == (tmp_path / "own", str(tmp_path / "own"))


@pytest.mark.parametrize(
    ("error", "returncode", "kind", "message"),
    [
        ({"kind": "endpoint", "message": "2 of 20 requests got no answer"}, 1, EndpointError, "2 of 20"),
        ({"kind": "harness", "message": "no such task"}, 1, HarnessError, "no such task"),
        (None, -9, HarnessError, "killed by SIGKILL"),
        (None, 1, HarnessError, "left no error.json"),
    ],
)
def test_failures(tmp_path: Path, error: dict[str, str] | None, returncode: int, kind: type, message: str) -> None:
    if error is not None:
        (tmp_path / "error.json").write_text(json.dumps(error))
    failure = HARNESS.failure(tmp_path, returncode)
    assert type(failure) is kind
    assert message in str(failure)
    assert HARNESS.progress(tmp_path) is None
    (tmp_path / "progress.json").write_text('{"done": 3, "total": 10}')
    assert HARNESS.progress(tmp_path) == Progress(3, 10)


def _write(path: Path, *entries: dict[str, Any]) -> None:
    with path.open("a") as file:
        file.writelines(json.dumps({"digest": "0", "entry": entry}) + "\n" for entry in entries)


def _answer(key: str, text: str) -> dict[str, Any]:
    told = {"choices": [{"message": {"content": text}}]}
    return {"type": "answer", "key": key, "sent": {"messages": []}, "reply": told, "latency_s": 0.5}


def _failed(key: str, kind: str = "server error", detail: str = "HTTP 500: broken\nthing") -> dict[str, Any]:
    return {"type": "failed", "key": key, "kind": kind, "detail": detail}


def test_of_the_journal_this_run_s_part_counts(tmp_path: Path) -> None:
    """A request is answered when its last try was; an answer of an earlier run counts when it was given again."""
    path = tmp_path / "journal.jsonl"
    assert Journal(path, 0).answered == 0
    _write(path, {"type": "header"}, _answer("a", "one"), _answer("gone", "old"), _failed("gone"))
    start = path.stat().st_size
    _write(
        path, {"type": "given", "key": "a"}, _failed("b"), _answer("b", "two"), _failed("c"), _failed("d", "timeout")
    )
    with path.open("a") as file:
        file.write('{"digest": "0", "entry": {"type": "answer", "key": "cut sho')
    journal = Journal(path, start)
    assert (journal.answered, journal.unanswered) == (2, 2)
    texts = [exchange.reply.parts("choices")[0].part("message").text("content") for exchange in journal.exchanges()]
    assert texts == ["one", "two"]
    said = "2 of 4 requests got no answer: server error (1x), timeout (1x), e.g. 'HTTP 500: broken thing'"
    assert journal.describe() == said
