"""Composition, precedence, overrides, derived values, and what is written down."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from config_workflow import BASE, Workflow, make_workflow
from hypothesis import given
from hypothesis import strategies as st
from snakeval.config import Config, Protocol, load_config, resolve_env
from snakeval.config.reading.tree import Node, Tree
from snakeval.config.reading.yamlfile import parse_scalar
from snakeval.errors import ConfigError


@pytest.fixture
def workflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workflow:
    monkeypatch.chdir(tmp_path)
    return make_workflow(tmp_path)


def test_default_file_is_used_without_configfile(workflow: Workflow) -> None:
    config = load_config([], {}, workflow.root / "checkout", {})
    assert config.run == "demo"
    assert config.deployments[0].options["checkpoint_path"] == "model.gguf"


def test_configfile_replaces_the_default_file(workflow: Workflow) -> None:
    with pytest.raises(ConfigError) as raised:
        workflow.load("evaluation: {tasks: [colours]}")
    assert [problem.where for problem in raised.value.problems] == ["run.yaml: deployment"]


def test_defaults_are_filled_in(workflow: Workflow) -> None:
    config = workflow.load(BASE)
    assert config.execution.idle_timeout_s == 600
    assert config.execution.max_deployments == 1
    deployment, task = config.deployments[0], config.tasks[0]
    assert (deployment.name, deployment.served_model_name, deployment.port) == ("model", "model", None)
    assert deployment.options["max_num_seqs"] == 8
    assert (task.name, task.harness, task.protocol, task.limit) == ("colours", "lm-eval", Protocol.CHAT, None)
    assert task.settings["seed"] == 1234
    assert task.definition == workflow.root / "checkout/config/tasks/colours.yaml"


def test_run_is_named_after_the_last_configfile(workflow: Workflow) -> None:
    assert workflow.load(BASE.replace("run: demo", ""), "{}").run == "2"


@pytest.mark.parametrize(
    ("files", "overrides", "expected"),
    [
        ([""], {}, 600),
        (["defaults: [{execution: slow}]"], {}, 60),
        (["defaults: [_self_, {execution: slow}]\nexecution: {idle_timeout_s: 7}"], {}, 60),
        (["defaults: [{execution: slow}, _self_]\nexecution: {idle_timeout_s: 7}"], {}, 7),
        (["defaults: [{execution: slow}]\nexecution: {idle_timeout_s: 7}"], {}, 7),
        (["execution: {idle_timeout_s: 7}", "defaults: [{execution: slow}]"], {}, 7),
        (["execution: {idle_timeout_s: 7}", "defaults: [_self_, {execution: slow}]"], {}, 60),
        (["defaults: [_self_, {execution: slow}]", "execution: {idle_timeout_s: 8}"], {}, 8),
        (["defaults: [{execution: slow}]", "defaults: [{execution: deep/er}]"], {}, 61),
        (["execution: {idle_timeout_s: 7}", "execution: {idle_timeout_s: 8}"], {}, 8),
        (["execution: {idle_timeout_s: 7}", "execution: {idle_timeout_s: 8}"], {"execution.idle_timeout_s": 9}, 9),
        (["defaults: [_self_, {execution: slow}]"], {"execution": {"idle_timeout_s": "9"}}, 9),
    ],
)
def test_precedence(workflow: Workflow, files: list[str], overrides: dict[str, Any], expected: int) -> None:
    workflow.write("execution/slow.yaml", "idle_timeout_s: 60\n")
    workflow.write("checkout/config/execution/deep/er.yaml", "idle_timeout_s: 61\n")
    body = "deployment: {type: llamacpp, checkpoint_path: m.gguf}\nevaluation: {tasks: [colours]}\n"
    config = workflow.load(body + files[0], *files[1:], overrides=overrides)
    assert config.execution.idle_timeout_s == expected


def test_group_beside_the_configfile_comes_first(workflow: Workflow) -> None:
    workflow.write("deployment/llamacpp.yaml", "{type: llamacpp, checkpoint_path: beside.gguf}\n")
    config = workflow.load("{defaults: [{deployment: llamacpp}], evaluation: {tasks: [colours]}}")
    assert config.deployments[0].options["checkpoint_path"] == "beside.gguf"


def test_lists_replace(workflow: Workflow) -> None:
    config = workflow.load(BASE, "evaluation: {tasks: [gsm8k]}")
    assert [task.name for task in config.tasks] == ["gsm8k"]


_LEAVES = st.one_of(st.integers(0, 3), st.lists(st.integers(0, 3), max_size=2), st.none())
_LAYERS = st.recursive(
    st.dictionaries(st.sampled_from("abc"), _LEAVES, max_size=3),
    lambda inner: st.dictionaries(st.sampled_from("abc"), st.one_of(_LEAVES, inner), max_size=3),
    max_leaves=8,
)


def _reference(base: Any, layer: Any) -> Any:
    if not isinstance(base, dict) or not isinstance(layer, dict):
        return layer
    return {key: _reference(base.get(key), layer[key]) if key in layer else base[key] for key in {**base, **layer}}


def _leaves(value: Mapping[str, Any], at: tuple[str, ...] = ()) -> dict[tuple[str, ...], Any]:
    found: dict[tuple[str, ...], Any] = {}
    for key, item in value.items():
        found |= _leaves(item, (*at, key)) if isinstance(item, dict) else {(*at, key): item}
    return found


@given(st.lists(_LAYERS, min_size=1, max_size=4))
def test_later_layers_win_and_every_leaf_knows_its_file(layers: list[dict[str, Any]]) -> None:
    tree = Tree("last")
    expected: dict[str, Any] = {}
    for index, layer in enumerate(layers):
        tree.merge(Node(layer), str(index))
        expected = _reference(expected, layer)
    assert tree.data == expected
    for keys, value in _leaves(tree.data).items():
        source = int(tree.origin(keys))
        assert _leaves(layers[source])[keys] == value
        assert not any(keys in _leaves(layer) for layer in layers[source + 1 :])


@pytest.mark.parametrize(
    ("overrides", "read", "expected"),
    [
        ({"deployment": {"port": "9000"}}, lambda c: c.deployments[0].port, 9000),
        ({"deployment.port": 9000}, lambda c: c.deployments[0].port, 9000),
        ({"deployment": {"port": "null"}}, lambda c: c.deployments[0].port, None),
        ({"run": 7}, lambda c: c.run, "7"),
        ({"run": "null"}, lambda c: c.run, "run"),
        ({"evaluation.temperature": "1e-3"}, lambda c: c.tasks[0].settings["temperature"], 0.001),
        ({"evaluation.temperature": "1"}, lambda c: c.tasks[0].settings["temperature"], 1),
        ({"evaluation.stop": "[a, b]"}, lambda c: c.tasks[0].settings["stop"], ["a", "b"]),
        ({"evaluation": {"tasks.colours.limit": "5"}}, lambda c: c.tasks[0].limit, 5),
        ({"evaluation": {"tasks": {"colours": {"limit": "5"}}}}, lambda c: c.tasks[0].limit, 5),
        ({"evaluation.tasks.0.limit": "5"}, lambda c: c.tasks[0].limit, 5),
        ({"evaluation.tasks.lm-eval.gsm8k.limit": "5"}, lambda c: c.tasks[1].limit, 5),
        ({"evaluation": {"tasks": [{"name": "gsm8k", "limit": "3"}]}}, lambda c: c.tasks[0].limit, 3),
        ({"evaluation.tasks": "[gsm8k, colours]"}, lambda c: [t.name for t in c.tasks], ["gsm8k", "colours"]),
        ({"env_vars": {"A": "lit:1"}}, lambda c: c.deployments[0].env_vars, {"A": "lit:1"}),
        ({"execution": {}}, lambda c: c.execution.type, "local"),
    ],
)
def test_overrides(workflow: Workflow, overrides: dict[str, Any], read: Any, expected: Any) -> None:
    text = BASE.replace("[colours]", "[colours, {name: lm-eval.gsm8k}]")
    assert read(workflow.load(text, overrides=overrides)) == expected


def test_override_of_a_boolean_and_of_a_deployment_by_name(workflow: Workflow) -> None:
    text = """
        deployments:
          - {name: a, type: generic, command: run, served_model_name: m}
          - {name: b, type: generic, command: run, served_model_name: m}
        evaluation: {tasks: [colours]}
    """
    config = workflow.load(text, overrides={"deployments": {"b.checks_api_key": "true", "a": {"port": "8001"}}})
    assert [d.options["checks_api_key"] for d in config.deployments] == [False, True]
    assert [d.port for d in config.deployments] == [8001, None]


def test_deployment_is_the_common_part_of_deployments_of_its_type(workflow: Workflow) -> None:
    config = workflow.load(
        BASE,
        """
        deployments:
          - name: a
          - {name: b, type: llamacpp, max_model_len: 512}
          - {name: c, type: generic, command: run, served_model_name: m}
        """,
    )
    paths = [deployment.options.get("checkpoint_path") for deployment in config.deployments]
    assert paths == ["model.gguf", "model.gguf", None]
    assert [deployment.options.get("max_model_len") for deployment in config.deployments] == [2048, 512, None]


@pytest.mark.parametrize(
    ("url", "base", "protocols"),
    [
        ("http://h:1/v1", "http://h:1/v1", list(Protocol)),
        ("http://h:1/v1/", "http://h:1/v1", list(Protocol)),
        ("http://h:1/v1/chat/completions", "http://h:1/v1", ["chat"]),
        ("http://h:1/v1/completions", "http://h:1/v1", ["completions", "loglikelihood"]),
    ],
)
def test_endpoint_from_target(workflow: Workflow, url: str, base: str, protocols: list[str]) -> None:
    text = f"""
        deployment: {{type: none}}
        target: {{api_endpoint: {{url: '{url}', model_id: org/model, api_key_name: MY_KEY}}}}
        evaluation: {{protocol: {protocols[0]!s}, tasks: [colours]}}
    """
    (deployment,) = workflow.load(text, environ={"MY_KEY": "s"}).deployments
    assert (deployment.name, deployment.served_model_name) == ("org-model", "org/model")
    assert deployment.options["base_url"] == base
    assert deployment.options["protocols"] == protocols
    assert deployment.options["api_key_name"] == "MY_KEY"


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ("colours", ("lm-eval", "colours", "chat", True)),
        ("{name: quick, task: colours, protocol: completions}", ("lm-eval", "colours", "completions", True)),
        ("lm-eval.gsm8k", ("lm-eval", "gsm8k", "chat", False)),
        ("lm-evaluation-harness.gsm8k", ("lm-eval", "gsm8k", "chat", False)),
        ("{name: gsm8k, harness: lm-evaluation-harness}", ("lm-eval", "gsm8k", "chat", False)),
        ("hellaswag", ("lm-eval", "hellaswag", "loglikelihood", False)),
        ("choices", ("lm-eval", "choices", "loglikelihood", True)),
        ("{name: own, command: [python, own.py]}", ("command", "own", "chat", False)),
    ],
)
def test_task_resolution(workflow: Workflow, entry: str, expected: tuple[str, str, str, bool]) -> None:
    text = f"""
        deployment: {{type: none, url: 'http://h/v1', model_id: m}}
        evaluation: {{tasks: [{entry}]}}
    """
    (task,) = workflow.load(text).tasks
    assert (task.harness, task.task, task.protocol.value, task.definition is not None) == expected


def test_task_dirs_come_before_the_repository(workflow: Workflow) -> None:
    workflow.write("mine/colours.yaml", "task: colours\noutput_type: multiple_choice\n")
    text = """
        deployment: {type: none, url: 'http://h/v1', model_id: m}
        evaluation: {task_dirs: [mine], tasks: [colours]}
    """
    (task,) = workflow.load(text).tasks
    assert (task.definition, task.protocol) == (Path("mine/colours.yaml"), Protocol.LOGLIKELIHOOD)


def test_group_of_mixed_tasks_needs_loglikelihood(workflow: Workflow) -> None:
    workflow.write("checkout/config/harnesses/lm-eval.tsv", "blend\tgroup\tmixed\n")
    text = "deployment: {type: none, url: 'http://h/v1', model_id: m}\nevaluation: {tasks: [blend]}\n"
    assert workflow.load(text).tasks[0].protocol is Protocol.LOGLIKELIHOOD


def test_shipped_tasks_are_taken_on_trust_without_their_table(workflow: Workflow) -> None:
    (workflow.root / "checkout/config/harnesses/lm-eval.tsv").unlink()
    assert workflow.load(BASE.replace("colours", "arc_easy")).tasks[0].task == "arc_easy"


def test_environments_are_merged_inner_over_outer(workflow: Workflow) -> None:
    text = """
        env_vars: {A: 'lit:top', B: 'lit:top'}
        execution: {env_vars: {C: 'lit:execution'}}
        deployment: {type: llamacpp, checkpoint_path: m, env_vars: {A: 'lit:deployment'}}
        evaluation: {env_vars: {A: 'lit:evaluation', D: 'host:D'}, tasks: [{name: colours, env_vars: {D: 'lit:task'}}]}
    """
    config = workflow.load(text, environ={"D": "d"})
    assert config.deployments[0].env_vars == {"A": "lit:deployment", "B": "lit:top", "C": "lit:execution"}
    assert config.tasks[0].env_vars == {"A": "lit:evaluation", "B": "lit:top", "D": "lit:task"}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-7", 1e-7), ("1E5", 1e5), ("-.5e2", -50.0), ("1.", 1.0), (".inf", float("inf")), ("1.5", 1.5),
        ("0", 0), ("-3", -3), ("1_000", 1000), ("0x1f", 31), ("0o17", 15),
        ("10:00:00", "10:00:00"), ("1:30.5", "1:30.5"), ("1e", "1e"), ("2026-05-01", "2026-05-01"),
    ],
)  # fmt: skip
def test_numbers_are_those_of_yaml_1_2(text: str, value: Any) -> None:
    read = parse_scalar(text)
    assert (read, type(read)) == (value, type(value))


def test_resolve_env() -> None:
    references = {"A": "host:X", "B": "lit:a:b", "C": "runtime:X", "D": "runtime:Y"}
    assert resolve_env(references, {"X": "x"}) == {"A": "x", "B": "a:b", "C": "x"}
    with pytest.raises(ConfigError, match="Z is not in the environment"):
        resolve_env({"A": "host:Z"}, {})


def _same(config: Config) -> tuple[Any, ...]:
    return (config.run, config.deployments, config.execution, config.tasks, config.resolved)


def test_resolved_config_runs_again_as_the_same_run(workflow: Workflow) -> None:
    config = workflow.load(
        BASE, "{evaluation: {limit: 3, tasks: [colours, gsm8k, {name: own, command: run}]}, env_vars: {A: 'host:A'}}",
        environ={"A": "a"},
    )  # fmt: skip
    again = workflow.load(yaml.safe_dump(json.loads(json.dumps(config.resolved))), environ={"A": "a"})
    assert _same(again) == _same(config)


def test_resolved_config_holds_no_secret(workflow: Workflow) -> None:
    text = """
        env_vars: {HF_TOKEN: 'host:HF_TOKEN', MY_PASSWORD: 'lit:planted-1'}
        deployment: {type: none, url: 'http://h/v1', model_id: m, api_key_name: KEY_NAME}
        execution: {env_vars: {SOME_TOKEN: 'lit:planted-2'}}
        evaluation: {env_vars: {secret: 'lit:planted-3'}, tasks: [{name: colours, env_vars: {apikey: 'lit:planted-4'}}]}
    """
    config = workflow.load(text, environ={"HF_TOKEN": "planted-5", "KEY_NAME": "planted-6"})
    written = json.dumps(config.resolved)
    assert "planted" not in written
    assert written.count('"lit:***"') == 4
    assert '"host:HF_TOKEN"' in written
    assert '"KEY_NAME"' in written
    assert not any("planted-5" in text or "planted-6" in text for text in (repr(config), written))


def test_nothing_of_this_machine_is_looked_at_without_check_environ(workflow: Workflow) -> None:
    text = BASE + "  data_dir: nowhere\n  env_vars: {A: 'host:NOT_SET'}\n"
    assert workflow.load(text, check_environ=False).data_dir == Path("nowhere")
