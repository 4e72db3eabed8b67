"""Harness command: what the program is told, what it may answer, and the documented example as a user runs it."""

import json
import math
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from fakes.openai_server import FakeOpenAIServer, answer_to
from harness_cases import ENDPOINT, a_config, a_task
from snakeval.endpoint import Endpoint
from snakeval.errors import HarnessError
from snakeval.harnesses import harness_of
from snakeval.run.attempt import Progress
from snakeval.system.checkout import ROOT

HARNESS = harness_of("command")
NO_PYTHON = Path()
DOCUMENTATION = ROOT / "docs" / "command-harness.md"
PROGRAM = ROOT / "config" / "examples" / "sums.py"
METRIC = {"name": "accuracy", "value": 0.5, "n": 4}
SAMPLES = {"asked": 4, "answered": 4}


def _report(
    work_dir: Path, metric: dict[str, Any] | None = None, samples: dict[str, Any] | None = None, **more: Any
) -> None:
    result = {"metrics": [METRIC | (metric or {})], "samples": SAMPLES | (samples or {})} | more
    (work_dir / "result.json").write_text(json.dumps(result))


def test_a_list_is_run_as_it_is_and_a_text_by_bash(tmp_path: Path) -> None:
    listed = HARNESS.command(a_task("command", command=["prog", "a b"]), ENDPOINT, tmp_path, NO_PYTHON, a_config())
    assert (listed.argv, listed.cwd) == (["prog", "a b"], None)
    line = HARNESS.command(a_task("command", command="prog | tee log"), ENDPOINT, tmp_path, NO_PYTHON, a_config())
    assert line.argv == ["bash", "-c", "prog | tee log"]


def test_every_setting_is_told(tmp_path: Path) -> None:
    settings: dict[str, Any] = {"seed": 7, "temperature": 0.7, "top_p": 0.9, "max_new_tokens": 64}
    task = a_task("command", limit=20, repeats=3, command=["x"], parallelism=16, request_timeout_s=60, **settings)
    command = HARNESS.command(task, ENDPOINT, tmp_path, NO_PYTHON, a_config(data_dir=tmp_path))
    assert command.env == {
        "SNAKEVAL_BASE_URL": "http://127.0.0.1:1234/v1",
        "SNAKEVAL_API_KEY": "top-secret",
        "SNAKEVAL_MODEL": "served",
        "SNAKEVAL_PROTOCOL": "chat",
        "SNAKEVAL_TASK": "sums",
        "SNAKEVAL_OUTPUT_DIR": str(tmp_path),
        "SNAKEVAL_LIMIT": "20",
        "SNAKEVAL_REPEATS": "3",
        "SNAKEVAL_SEED": "7",
        "SNAKEVAL_TEMPERATURE": "0.7",
        "SNAKEVAL_TOP_P": "0.9",
        "SNAKEVAL_MAX_NEW_TOKENS": "64",
        "SNAKEVAL_PARALLELISM": "16",
        "SNAKEVAL_REQUEST_TIMEOUT_S": "60",
        "SNAKEVAL_DATA_DIR": str(tmp_path),
    }
    documented = set(re.findall(r"SNAKEVAL_[A-Z_]+", DOCUMENTATION.read_text()))
    assert documented == set(command.env)


def test_what_is_null_is_not_set(tmp_path: Path) -> None:
    command = HARNESS.command(a_task("command", command=["x"]), ENDPOINT, tmp_path, NO_PYTHON, a_config())
    names = {"BASE_URL", "API_KEY", "MODEL", "PROTOCOL", "TASK", "OUTPUT_DIR", "REPEATS"}
    assert set(command.env) == {f"SNAKEVAL_{name}" for name in names}


def test_the_key_is_not_shown(tmp_path: Path) -> None:
    command = HARNESS.command(a_task("command", command=["x"]), ENDPOINT, tmp_path, NO_PYTHON, a_config())
    assert "top-secret" not in repr(command) + " ".join(command.argv)


def test_an_earlier_result_does_not_answer_for_a_new_attempt(tmp_path: Path) -> None:
    for name in ("result.json", "samples.jsonl", "progress.json", "answers.db"):
        (tmp_path / name).write_text("old")
    HARNESS.command(a_task("command", command=["x"]), ENDPOINT, tmp_path, NO_PYTHON, a_config())
    assert [path.name for path in tmp_path.iterdir()] == ["answers.db"]


def test_the_least_result(tmp_path: Path) -> None:
    _report(tmp_path)
    outcome = HARNESS.outcome(tmp_path)
    metric = outcome.metrics[0]
    assert (metric.name, metric.filter, metric.subtask, metric.value, metric.stderr, metric.n) == (
        "accuracy",
        "none",
        None,
        0.5,
        None,
        4,
    )
    assert (outcome.asked, outcome.answered, outcome.failed, outcome.prompt_tokens) == (4, 4, 0, None)


def test_the_whole_result(tmp_path: Path) -> None:
    more = {"tokens": {"prompt": 10, "completion": 5}, "requests": {"sent": 3, "cached": 1}, "versions": {"sums": "1"}}
    _report(
        tmp_path, {"stderr": 0.1, "higher_is_better": True, "filter": "strict", "subtask": "b"}, {"failed": 0}, **more
    )
    outcome = HARNESS.outcome(tmp_path)
    assert (outcome.prompt_tokens, outcome.completion_tokens) == (10, 5)
    assert (outcome.requests_sent, outcome.requests_cached, outcome.requests_retried) == (3, 1, None)
    assert (outcome.versions, outcome.metrics[0].stderr, outcome.metrics[0].subtask) == ({"sums": "1"}, 0.1, "b")


@pytest.mark.parametrize(
    ("metric", "samples", "more", "message"),
    [
        ({}, {"answered": 3}, {}, "1 of 4 samples got no answer"),
        ({}, {"failed": 1}, {}, "1 failed"),
        ({}, {"asked": 0, "answered": 0}, {}, "samples.asked"),
        ({"value": math.nan}, {}, {}, "is nan"),
        ({"value": "0.5"}, {}, {}, r"metrics\[0\].value"),
        ({"n": 8}, {}, {}, "n = 8 samples, but 4 were asked"),
        ({"stderr": -1}, {}, {}, "stderr"),
        ({"std_err": 0.1}, {}, {}, "std_err"),
        ({}, {}, {"metrics": []}, "metrics"),
        ({}, {}, {"tokens": 3}, "tokens"),
        ({}, {}, {"scores": {}}, "scores"),
    ],
)
def test_bad_results_are_refused(
    tmp_path: Path, metric: dict[str, Any], samples: dict[str, Any], more: dict[str, Any], message: str
) -> None:
    _report(tmp_path, metric, samples, **more)
    with pytest.raises(HarnessError, match=message):
        HARNESS.outcome(tmp_path)


@pytest.mark.parametrize(("content", "message"), [(None, "there is no"), ("{", "not JSON"), ("3", "not a JSON object")])
def test_no_result_is_refused(tmp_path: Path, content: str | None, message: str) -> None:
    if content:
        (tmp_path / "result.json").write_text(content)
    with pytest.raises(HarnessError, match=message):
        HARNESS.outcome(tmp_path)


@pytest.mark.parametrize(("returncode", "message"), [(3, "exit status 3"), (-9, "SIGKILL"), (139, "SIGSEGV")])
def test_a_failed_command_is_named(tmp_path: Path, returncode: int, message: str) -> None:
    failure = HARNESS.failure(tmp_path, returncode)
    assert isinstance(failure, HarnessError)
    assert message in str(failure)


def test_progress_is_optional(tmp_path: Path) -> None:
    assert HARNESS.progress(tmp_path) is None
    (tmp_path / "progress.json").write_text('{"done": 1, "total": 4}')
    assert HARNESS.progress(tmp_path) == Progress(1, 4)


def test_the_documented_program_runs(tmp_path: Path) -> None:
    listings = re.findall(r"```python\n(.*?)```", DOCUMENTATION.read_text(), flags=re.DOTALL)
    assert listings == [PROGRAM.read_text()]
    task = a_task("command", limit=5, command=[sys.executable, str(PROGRAM)])
    with FakeOpenAIServer(api_key="top-secret") as server:
        endpoint = Endpoint(server.base_url, server.model, "top-secret")
        command = HARNESS.command(task, endpoint, tmp_path / "out", NO_PYTHON, a_config())
        subprocess.run(command.argv, env=os.environ | command.env, check=True, timeout=60)
    outcome = HARNESS.outcome(tmp_path / "out")
    questions = [payload["messages"][0]["content"] for payload in server.payloads]
    answers = [answer_to(question, temperature=0, seed=0) for question in questions]
    right = [answer == f"answer {2 * i + 1}" for i, answer in enumerate(answers)]
    assert 0 < sum(right) < len(right) == 5
    assert (outcome.asked, outcome.metrics[0].name, outcome.metrics[0].value) == (5, "accuracy", sum(right) / 5)
    assert [sample["correct"] for sample in HARNESS.samples(tmp_path / "out")] == right


def test_the_documented_result_is_valid(tmp_path: Path) -> None:
    example = re.findall(r"```json\n(.*?)```", DOCUMENTATION.read_text(), flags=re.DOTALL)[0]
    (tmp_path / "result.json").write_text(example)
    assert HARNESS.outcome(tmp_path).metrics[0].value == 0.75
