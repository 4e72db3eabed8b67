"""Harness lm-eval, the pure side: its request, its command, and what it makes of outcomes, good and broken."""

import copy
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from harness_cases import ENDPOINT, a_config, a_task
from hypothesis import given
from hypothesis import strategies as st
from snakeval.endpoint import Protocol
from snakeval.errors import EndpointError, ExtensionError, HarnessError
from snakeval.harnesses import harness_of
from snakeval.harnesses.lm_eval import build_request
from snakeval.harnesses.outcome import describe_status
from snakeval.harnesses.runner import RUNNERS
from snakeval.run.attempt import Progress

HARNESS = harness_of("lm-eval")
OUTCOMES = Path(__file__).parents[2] / "fixtures" / "harnesses"
PYTHON = Path("/envs/lm-eval/bin/python")


def _request(work_dir: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((work_dir / "request.json").read_text())
    return content


def content_of(*arguments: Any) -> dict[str, Any]:
    """Return what stands in the request file."""
    return build_request(*arguments).content()


def test_the_request_has_every_setting_of_the_task(tmp_path: Path) -> None:
    task = a_task(
        protocol=Protocol.COMPLETIONS,
        limit=20,
        repeats=3,
        temperature=0.7,
        top_p=0.9,
        max_new_tokens=64,
        stop=["\n"],
        seed=7,
        num_fewshot=2,
        system_prompt="Be brief.",
        parallelism=16,
    )
    request = content_of(task, ENDPOINT, tmp_path, a_config())
    expected = {
        "task": "sums",
        "protocol": "completions",
        "model": "served",
        "base_url": "http://127.0.0.1:1234/v1",
        "tokenizer": None,
        "limit": 20,
        "repeats": 3,
        "seed": 7,
        "num_fewshot": 2,
        "system_prompt": "Be brief.",
        "generation": {"temperature": 0.7, "top_p": 0.9, "max_tokens": 64, "stop": ["\n"]},
        "parallelism": 16,
        "outcome_path": str(tmp_path / "outcome.json"),
    }
    assert {key: request[key] for key in expected} == expected


def test_what_is_null_is_the_harness_default() -> None:
    request = content_of(a_task(), ENDPOINT, Path("/work"), a_config())
    assert request["generation"] == {"temperature": None, "top_p": None, "max_tokens": None, "stop": None}
    assert (request["seed"], request["parallelism"]) == (1234, 8)


def test_a_greedy_temperature_is_not_taken_for_null() -> None:
    request = content_of(a_task(temperature=0, num_fewshot=0), ENDPOINT, Path("/work"), a_config())
    assert request["generation"]["temperature"] == 0
    assert request["num_fewshot"] == 0


def test_only_shipped_tasks_are_looked_up_among_the_shipped_ones(tmp_path: Path) -> None:
    config = a_config(task_dirs=(tmp_path / "tasks",))
    shipped = content_of(a_task(), ENDPOINT, tmp_path, config)
    assert (shipped["include_defaults"], shipped["include_paths"]) == (True, [])
    own = content_of(a_task(definition=tmp_path / "tasks" / "sums.yaml"), ENDPOINT, tmp_path, config)
    assert (own["include_defaults"], own["include_paths"]) == (False, [str(tmp_path / "tasks")])


def test_a_tokenizer_that_is_a_folder_becomes_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tokenizer").mkdir()
    local = content_of(a_task(tokenizer="tokenizer"), ENDPOINT, tmp_path, a_config())
    assert local["tokenizer"] == str(tmp_path / "tokenizer")
    assert content_of(a_task(tokenizer="org/name"), ENDPOINT, tmp_path, a_config())["tokenizer"] == "org/name"


def test_the_command_runs_the_runner_and_clears_what_is_stale(tmp_path: Path) -> None:
    stale = [tmp_path / name for name in ("outcome.json", "error.json", "samples.jsonl", "progress.json")]
    for path in stale:
        path.write_text("old")
    command = HARNESS.command(a_task(), ENDPOINT, tmp_path, PYTHON, a_config())
    assert command.argv == [str(PYTHON), "-P", "-m", "snakeval_runners.lm_eval", str(tmp_path / "request.json")]
    assert command.env["PYTHONPATH"] == str(RUNNERS)
    assert (RUNNERS / "snakeval_runners" / "lm_eval" / "__main__.py").is_file()
    assert command.cwd == tmp_path
    assert not any(path.exists() for path in stale)


def test_the_command_runs_where_the_data_is(tmp_path: Path) -> None:
    command = HARNESS.command(a_task(), ENDPOINT, tmp_path / "work", PYTHON, a_config(data_dir=tmp_path / "data"))
    assert command.cwd == tmp_path / "data"


def test_the_key_is_in_the_environment_and_nowhere_else(tmp_path: Path) -> None:
    command = HARNESS.command(a_task(), ENDPOINT, tmp_path, PYTHON, a_config())
    assert command.env["OPENAI_API_KEY"] == "top-secret"
    seen = [repr(ENDPOINT), repr(command), *command.argv, *(p.read_text() for p in tmp_path.iterdir())]
    assert not any("top-secret" in text for text in seen)


def test_without_a_key_the_user_s_own_is_not_sent(tmp_path: Path) -> None:
    open_endpoint = type(ENDPOINT)("http://127.0.0.1:1/v1", "served", None)
    assert HARNESS.command(a_task(), open_endpoint, tmp_path, PYTHON, a_config()).env["OPENAI_API_KEY"] == ""


@pytest.mark.parametrize(
    ("name", "asked", "metrics", "subtasks"),
    [("lm_eval_gsm8k", 3, 2, {None}), ("lm_eval_group", 6, 3, {None, "a", "b"})],
)
def test_recorded_outcomes_are_read(
    tmp_path: Path, name: str, asked: int, metrics: int, subtasks: set[str | None]
) -> None:
    (tmp_path / "outcome.json").write_text((OUTCOMES / f"{name}.json").read_text())
    outcome = HARNESS.outcome(tmp_path)
    assert (outcome.asked, outcome.answered, outcome.failed) == (asked, asked, 0)
    assert len(outcome.metrics) == metrics
    assert {metric.subtask for metric in outcome.metrics} == subtasks
    assert outcome.versions["lm_eval"] == "0.4.13"


Change = Callable[[dict[str, Any]], Any]
BROKEN: dict[str, tuple[Change, str]] = {
    "unanswered": (lambda o: o["samples"].update(answered=2), "1 of 3 samples got no answer"),
    "failed": (lambda o: o["samples"].update(failed=1), "1 failed"),
    "nothing asked": (lambda o: o["samples"].update(asked=0, answered=0), "0 of 0"),
    "not a number": (lambda o: o["metrics"][0].update(value=math.nan), "is nan"),
    "infinite": (lambda o: o["metrics"][0].update(value=math.inf), "is inf"),
    "text for a value": (lambda o: o["metrics"][0].update(value="0.5"), "'0.5' is not a number"),
    "true for a value": (lambda o: o["metrics"][0].update(value=True), "True is not a number"),
    "no value": (lambda o: o["metrics"][0].pop("value"), "KeyError: 'value'"),
    "stderr is NaN": (lambda o: o["metrics"][0].update(stderr=math.nan), "standard error nan"),
    "negative stderr": (lambda o: o["metrics"][0].update(stderr=-0.1), "standard error -0.1"),
    "n counts repeats": (lambda o: o["metrics"][0].update(n=9), "n = 9 samples, but 3 were asked"),
    "n is zero": (lambda o: o["metrics"][0].update(n=0), "n = 0"),
    "no metric": (lambda o: o.update(metrics=[]), "no metric"),
    "metrics are no list": (lambda o: o.update(metrics=None), "malformed"),
    "no samples": (lambda o: o.pop("samples"), "KeyError: 'samples'"),
    "negative tokens": (lambda o: o["tokens"].update(prompt=-1), "-1 is not a count"),
}


@pytest.mark.parametrize(("change", "message"), BROKEN.values(), ids=BROKEN.keys())
def test_broken_outcomes_are_refused(tmp_path: Path, change: Change, message: str) -> None:
    outcome = copy.deepcopy(json.loads((OUTCOMES / "lm_eval_gsm8k.json").read_text()))
    change(outcome)
    (tmp_path / "outcome.json").write_text(json.dumps(outcome))
    with pytest.raises(HarnessError) as error:
        HARNESS.outcome(tmp_path)
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "without an outcome"), ("", "not JSON"), ('{"metrics": [', "not JSON"), ("[]", "list")],
)
def test_a_missing_or_cut_outcome_is_refused(tmp_path: Path, content: str | None, message: str) -> None:
    if content is not None:
        (tmp_path / "outcome.json").write_text(content)
    with pytest.raises(HarnessError, match=message):
        HARNESS.outcome(tmp_path)


@pytest.mark.parametrize(
    ("error", "returncode", "kind", "message"),
    [
        ({"kind": "endpoint", "message": "2 of 20 samples got no answer"}, 1, EndpointError, "2 of 20"),
        ({"kind": "harness", "message": "there is no task 'x'"}, 1, HarnessError, "there is no task"),
        (None, 1, HarnessError, "ended with exit status 1"),
        (None, -9, HarnessError, "killed by SIGKILL"),
        (None, 137, HarnessError, "killed by SIGKILL"),
        (None, 143, HarnessError, "killed by SIGTERM"),
        ({"message": 3}, 1, HarnessError, "ended with exit status 1"),
    ],
)
def test_failures_are_told_in_the_runner_s_words(
    tmp_path: Path, error: dict[str, Any] | None, returncode: int, kind: type[Exception], message: str
) -> None:
    if error is not None:
        (tmp_path / "error.json").write_text(json.dumps(error))
    failure = HARNESS.failure(tmp_path, returncode)
    assert type(failure) is kind
    assert message in str(failure)


@given(st.integers(min_value=-64, max_value=255))
def test_every_status_has_a_description(returncode: int) -> None:
    assert describe_status(returncode).split(" ")[0] in ("was", "ended")


@pytest.mark.parametrize(
    ("content", "progress"),
    [
        (None, None),
        ('{"done": 3, "total": 10}', Progress(3, 10)),
        ('{"done": 3', None),
        ('{"done": "3", "total": 10}', None),
        ("[]", None),
    ],
)
def test_progress_is_read_or_unknown(tmp_path: Path, content: str | None, progress: Progress | None) -> None:
    if content is not None:
        (tmp_path / "progress.json").write_text(content)
    assert HARNESS.progress(tmp_path) == progress


def test_samples_are_read_line_by_line(tmp_path: Path) -> None:
    assert list(HARNESS.samples(tmp_path)) == []
    (tmp_path / "samples.jsonl").write_text('{"doc_id": 0}\n\n{"doc_id": 1}\n')
    assert [sample["doc_id"] for sample in HARNESS.samples(tmp_path)] == [0, 1]
    (tmp_path / "samples.jsonl").write_text('{"doc_id": 0}\n{"doc')
    with pytest.raises(HarnessError, match="line 2"):
        list(HARNESS.samples(tmp_path))


def test_an_unknown_harness_is_refused() -> None:
    with pytest.raises(ExtensionError, match="got:      simple-evals"):
        harness_of("simple-evals")
