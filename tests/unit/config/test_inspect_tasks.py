"""Tasks of Inspect: how they are found by name, what they may be told, and the command that runs them."""

import json
from pathlib import Path
from typing import Any

import pytest
from config_workflow import Workflow, make_workflow
from harness_cases import ENDPOINT, a_config, a_task
from snakeval.config.tasks.inspect import shipped_by_inspect_evals, tasks_in
from snakeval.errors import ConfigError
from snakeval.harnesses import harness_of
from snakeval.harnesses.inspect import build_request
from snakeval.harnesses.runner import RUNNERS

FILE = """
import inspect_ai
from inspect_ai import Task, task
from inspect_ai.dataset import json_dataset

@task
def sums(shots: int = 3, *, hard=False):
    return Task(json_dataset("sums.jsonl"))

@task(name="take-away")
def differences(**anything): ...

@inspect_ai.task(version=2)
def products(): ...

def helper(): ...
"""
ONE = "from inspect_ai import task\n\n@task\ndef only(): ...\n"
SETTINGS: dict[str, Any] = {"parallelism": 8, "request_timeout_s": 300, "max_retries": 5, "seed": 1234}


@pytest.fixture
def workflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workflow:
    """A checkout, and tasks of Inspect in `mine`."""
    monkeypatch.chdir(tmp_path)
    made = make_workflow(tmp_path)
    made.write("mine/sums.py", FILE)
    made.write("mine/sums.jsonl", '{"input": "1 + 1", "target": "2"}')
    made.write("mine/deep/single.py", ONE)
    made.write("mine/loader.py", "def load(): ...\n")
    made.write("mine/torn.py", "from inspect_ai import task\n@task\ndef")
    for family in ("inspect", "inspect_evals"):
        made.write(f"checkout/envs/{family}.in", "inspect-ai==0.3.285\n")
        made.write(f"checkout/envs/{family}.lock", "inspect-ai==0.3.285 \\\n    --hash=sha256:0\n")
    return made


def _load(workflow: Workflow, tasks: str, more: str = ""):  # type: ignore[no-untyped-def]
    head = "deployment: {type: none, url: 'http://h/v1', model_id: m}\n"
    return workflow.load(f"{head}evaluation: {{task_dirs: [mine], tasks: [{tasks}], {more}}}\n", check_environ=False)


def test_a_file_s_tasks_and_what_they_take(workflow: Workflow) -> None:
    found = tasks_in(workflow.root / "mine" / "sums.py")
    assert found == {"sums": ("shots", "hard"), "take-away": None, "products": ()}
    assert tasks_in(workflow.root / "mine" / "loader.py") == {}
    assert tasks_in(workflow.root / "mine" / "torn.py") == {}


@pytest.mark.parametrize(
    ("entry", "task", "file"),
    [
        ("inspect.sums", "sums", "mine/sums.py"),
        ("{name: inspect.a, task: sums@products}", "products", "mine/sums.py"),
        ("{name: inspect.a, task: sums.py@take-away}", "take-away", "mine/sums.py"),
        ("inspect.single", "only", "mine/deep/single.py"),
        ("inspect.products", "products", "mine/sums.py"),
        ("{name: products, harness: inspect}", "products", "mine/sums.py"),
        ("inspect_evals.gsm8k", "gsm8k", None),
        ("{name: inspect_evals.a, task: inspect_evals/gsm8k}", "gsm8k", None),
    ],
)
def test_names(workflow: Workflow, entry: str, task: str, file: str | None) -> None:
    (found,) = _load(workflow, entry).tasks
    assert (found.task, found.protocol.value, found.module) == (task, "chat", "")
    assert str(found.definition) == str(file and Path(file))
    assert harness_of(found.harness)


@pytest.mark.parametrize(
    ("entry", "more", "said"),
    [
        ("inspect.sum", "", ["names an unknown task of inspect", "did you mean sums?"]),
        ("inspect.gsm8k", "", ["or write inspect_evals.gsm8k for the one that inspect_evals ships"]),
        ("inspect.torn", "", ["names an unknown task of inspect"]),
        ("{name: inspect.a, task: sums@sum}", "", ["names no task of sums.py", "sums@sums"]),
        ("inspect_evals.gsm9k", "", ["names an unknown task of inspect_evals", "write gsm8k"]),
        ("{name: inspect.sums, extra: {shot: 1}}", "", ["is no argument of task sums", "did you mean shots?"]),
        ("{name: inspect.products, extra: {shot: 1}}", "", ["is no argument of task products", "expected: nothing"]),
        ("{name: inspect.sums, num_fewshot: 2}", "", ["num_fewshot is not used by inspect"]),
        ("{name: inspect.sums, tokenizer: t}", "", ["tokenizer is not used by inspect"]),
        ("{name: inspect.sums, container: c}", "", ["container is not used by inspect"]),
        ("{name: inspect.sums, adapter_config: {a: 1}}", "", ["adapter_config.a is no setting of nemo"]),
        ("{name: inspect.sums, adapter_config: {use_caching: true}}", "", ["use_caching is not used by inspect"]),
        ("inspect.sums", "protocol: completions", ["protocol is not what Inspect sends", "expected: chat"]),
        ("{name: inspect.sums, extra: {api_key: sk-1}}", "", ["holds something else than the name of a variable"]),
        ("{name: inspect.a, harness: lm-eval}", "", ["contradicts the name of the task"]),
    ],
)
def test_what_is_wrong_is_told_before_anything_starts(
    workflow: Workflow, entry: str, more: str, said: list[str]
) -> None:
    with pytest.raises(ConfigError) as error:
        _load(workflow, entry, more)
    assert all(text in str(error.value) for text in said), error.value


def test_arguments_that_are_known_only_when_it_runs_are_let_through(workflow: Workflow) -> None:
    tasks = _load(
        workflow, "{name: inspect.take-away, extra: {a: 1}}, {name: inspect_evals.gsm8k, extra: {b: 2}}"
    ).tasks
    assert [task.settings["extra"] for task in tasks] == [{"a": 1}, {"b": 2}]


@pytest.mark.parametrize(
    ("change", "counts"),
    [
        (("mine/sums.jsonl", "{}"), True),
        (("mine/sums.py", FILE + "\nx = 1\n"), True),
        (("mine/loader.py", "x = 1"), False),
    ],
)
def test_the_fingerprint_knows_the_files(workflow: Workflow, change: tuple[str, str], counts: bool) -> None:
    (before,) = _load(workflow, "inspect.sums").tasks
    workflow.write(*change)
    (after,) = _load(workflow, "inspect.sums").tasks
    assert (before.fingerprint != after.fingerprint) is counts


def test_shared_settings_that_inspect_has_no_word_for_do_not_count(workflow: Workflow) -> None:
    (one,), (other,) = (_load(workflow, "inspect.sums", more).tasks for more in ("", "num_fewshot: 3"))
    assert one.fingerprint == other.fingerprint
    (args,) = _load(workflow, "{name: inspect.sums, extra: {shots: 1}}").tasks
    assert args.fingerprint != one.fingerprint


def test_the_table_of_inspect_evals() -> None:
    table = shipped_by_inspect_evals()
    assert len(table) == 250
    assert set(table.values()) == {"-", "docker"}
    assert (table["gsm8k"], table["cybench"]) == ("-", "docker")


def test_the_request_has_every_setting_of_the_task(tmp_path: Path) -> None:
    more: dict[str, Any] = {
        "temperature": 0,
        "top_p": 0.9,
        "max_new_tokens": 64,
        "stop": ["X"],
        "system_prompt": "S",
        "extra": {"a": 1},
    }
    file = tmp_path / "sums.py"
    task = a_task("inspect", definition=file, limit=20, repeats=3, **SETTINGS, **more)
    request = build_request(task, ENDPOINT, tmp_path).content()
    assert request["spec"] == f"{file}@sums"
    assert (request["limit"], request["repeats"], request["task_args"]) == (20, 3, {"a": 1})
    assert request["generation"] == {
        "temperature": 0,
        "top_p": 0.9,
        "max_tokens": 64,
        "stop_seqs": ["X"],
        "seed": 1234,
        "system_message": "S",
    }
    assert build_request(a_task("inspect_evals", **SETTINGS), ENDPOINT, tmp_path).spec == "inspect_evals/sums"


def test_the_command_clears_what_is_stale(tmp_path: Path) -> None:
    stale = [tmp_path / name for name in ("outcome.json", "error.json", "samples.jsonl", "progress.json")]
    for path in stale:
        path.write_text("old")
    harness = harness_of("inspect")
    assert harness.varies_seed, "all epochs come with one seed"
    command = harness.command(a_task("inspect", **SETTINGS), ENDPOINT, tmp_path, Path("/envs/python"), a_config())
    assert command.argv == ["/envs/python", "-P", "-m", "snakeval_runners.inspect", str(tmp_path / "request.json")]
    assert (RUNNERS / "snakeval_runners" / "inspect" / "__main__.py").is_file()
    assert not any(path.exists() for path in stale)
    assert command.env["SNAKEVAL_API_KEY"] == "top-secret"
    assert "top-secret" not in json.dumps(command.argv) + (tmp_path / "request.json").read_text() + repr(command)
    assert command.cwd == tmp_path
    elsewhere = harness.command(
        a_task("inspect", **SETTINGS), ENDPOINT, tmp_path, Path("/envs/python"), a_config(data_dir=tmp_path / "data")
    )
    assert (elsewhere.cwd, elsewhere.env["SNAKEVAL_DATA_DIR"]) == (tmp_path / "data", str(tmp_path / "data"))
