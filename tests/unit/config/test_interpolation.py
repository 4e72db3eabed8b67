"""References in configurations: variables, other keys, what is bash's and stays, and what has no value."""

from pathlib import Path
from typing import Any

import pytest
from config_workflow import Workflow, make_workflow
from snakeval.config.reading.interpolation import interpolate
from snakeval.config.reading.tree import Node, Tree
from snakeval.errors import ConfigError

ENVIRON = {"USER": "ada", "HF_TOKEN": "planted", "N": "3"}


def _resolve(data: dict[str, Any], defaults: dict[tuple[str, ...], Any] | None = None) -> tuple[Tree, list[str]]:
    tree = Tree("run.yaml")
    tree.merge(Node(data), "run.yaml")
    problems = interpolate(tree, ENVIRON, lambda keys: (defaults or {}).get(tuple(map(str, keys))))
    return tree, [f"{problem.where} {problem.what}" for problem in problems]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("/data/${oc.env:USER}/x", "/data/ada/x"),
        ("${oc.env:NOBODY,eve}", "eve"),
        ("${oc.env:NOBODY,${oc.env:USER}}", "ada"),
        ("${oc.env:NOBODY,a,b}", "a,b"),
        ("${execution.num_nodes}", 2),
        ("n=${execution.num_nodes}", "n=2"),
        ("${execution.account}", "ada-account"),
        ("${execution.requeue}", True),
        ("x ${execution.requeue}", "x true"),
        ("${deployment.extra_args}", ""),
        ("${deployment.dtype}", "auto"),
        ("${select_not_null:deployment.hf_model_handle,/checkpoint}", "/checkpoint"),
        ("${select_not_null:execution.num_nodes,/checkpoint}", 2),
        ("$HOME ${HOME} ${HOME:-x} ${A:0:3} ${my.thing}", "$HOME ${HOME} ${HOME:-x} ${A:0:3} ${my.thing}"),
    ],
)
def test_values(value: str, expected: Any) -> None:
    execution = {"num_nodes": 2, "account": "${oc.env:USER}-account", "requeue": True}
    data = {"execution": execution, "deployment": {"extra_args": ""}, "run": value}
    tree, problems = _resolve(data, {("deployment", "dtype"): "auto"})
    assert (tree.get(("run",)), problems) == (expected, [])


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("${oc.env:NOBODY}", "run.yaml: run names a variable that is not set"),
        ("${oc.env:HF_TOKEN}", "run.yaml: run would hold a secret"),
        ("${oc.decode:1}", "run.yaml: run uses a resolver that is not supported"),
        ("${deployment.nothing}", "run.yaml: run refers to a key that has no value"),
        ("${execution.a}", "run.yaml: run refers to itself"),
    ],
)
def test_what_has_no_value(value: str, said: str) -> None:
    tree, problems = _resolve({"execution": {"a": "${execution.b}", "b": "${execution.a}"}, "run": value})
    assert said in problems
    assert "planted" not in str(tree.data) + str(problems)


def test_a_variable_in_env_vars_is_named_and_never_read() -> None:
    env_vars = {"A": "${oc.env:HF_TOKEN}", "B": "${oc.env:NOBODY}", "C": "${oc.env:NOBODY,fallback}"}
    tree, problems = _resolve({"deployment": {"env_vars": env_vars}})
    assert tree.get(("deployment", "env_vars")) == {"A": "host:HF_TOKEN", "B": "host:NOBODY", "C": "lit:fallback"}
    assert problems == []


def test_a_port_that_is_chosen_later_is_left_to_the_shell() -> None:
    tree, problems = _resolve({"deployment": {"command": "serve --port ${deployment.port} ${deployment.port}"}})
    assert tree.get(("deployment", "command")) == "serve --port ${SNAKEVAL_PORT} ${SNAKEVAL_PORT}"
    assert problems == []
    tree, _ = _resolve({"deployment": {"command": "serve --port ${deployment.port}", "port": 8000}})
    assert tree.get(("deployment", "command")) == "serve --port 8000"


@pytest.fixture
def workflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workflow:
    monkeypatch.chdir(tmp_path)
    return make_workflow(tmp_path, harnesses=True)


def test_problems_come_with_all_others_and_defaults_count(workflow: Workflow) -> None:
    text = """
        execution: {output_dir: '${oc.env:SCRATCH}/results', type: slurm, walltime: 1:00:00}
        deployment:
          {type: generic, command: 'run ${execution.num_nodes} ${deployment.health_path}', served_model_name: m}
        evaluation: {tasks: [colours, colour]}
    """
    with pytest.raises(ConfigError) as raised:
        workflow.load(text)
    assert [str(problem).splitlines()[0] for problem in raised.value.problems] == [
        "error: run.yaml: evaluation.tasks.colour.name names an unknown task",
        "error: run.yaml: execution.output_dir names a variable that is not set",
    ]
    config = workflow.load(text.replace("colours, colour", "colours"), environ={"SCRATCH": "/scratch"})
    assert config.deployments[0].options["command"] == "run 1 /health"
    assert config.execution.output_dir == Path("/scratch/results")
    assert config.execution.options["walltime"] == "1:00:00"
