"""Wrong configurations: the exact four lines that users read, all problems at once, each with its file."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from config_workflow import Workflow, make_workflow
from snakeval.config import load_config
from snakeval.config.reading.schema_files import Schemas
from snakeval.config.reading.wording import choices
from snakeval.errors import ConfigError
from snakeval.system.checkout import ROOT

SCHEMAS = Schemas(ROOT / "schemas")
# What may be added to: a case writes <<NAME GOT>> for the choices that are offered instead of GOT.
CHOICES = {
    "formats": SCHEMAS.read("export").properties["formats"].items.choices,
    "deployment types": SCHEMAS.types("deployment"),
    "execution types": SCHEMAS.types("execution"),
    "deployment files": [path.stem for path in (ROOT / "config" / "deployment").glob("*.yaml")],
}
CASES = yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text(encoding="utf-8"))


@pytest.fixture
def workflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workflow:
    monkeypatch.chdir(tmp_path)
    return make_workflow(tmp_path)


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_message(workflow: Workflow, case: Mapping[str, Any]) -> None:
    with pytest.raises(ConfigError) as raised:
        workflow.load(case["config"], overrides=case.get("overrides"))
    message = re.sub(r"<<(.+) (.*)>>", lambda found: choices(found[2], CHOICES[found[1]]), case["message"])
    assert str(raised.value) == message.rstrip("\n")
    assert "planted" not in str(raised.value)


def test_all_problems_come_at_once_by_file_and_path(workflow: Workflow) -> None:
    workflow.write("execution/hasty.yaml", "idle_timeout_s: 1\n")
    text = """
        defaults: [{execution: hasty}, {deployment: lamacpp}]
        env_vars: {TOKEN: 'host:TOKEN'}
        evaluation:
          data_dir: nowhere
          tasks: [colour, {name: gsm8k, limit: 0}, {name: server, task: colours}]
    """
    with pytest.raises(ConfigError) as raised:
        workflow.load(text, overrides={"evaluation": {"seed": "-1"}})
    assert [problem.where for problem in raised.value.problems] == [
        "--config: evaluation.seed",
        "execution/hasty.yaml: execution.idle_timeout_s",
        "run.yaml: defaults.1.deployment",
        "run.yaml: env_vars.TOKEN",
        "run.yaml: evaluation.data_dir",
        "run.yaml: evaluation.tasks.colour.name",
        "run.yaml: evaluation.tasks.gsm8k.limit",
        "run.yaml: evaluation.tasks.server.name",
    ]


def test_an_engine_that_refuses_unknown_keys_has_no_router(workflow: Workflow) -> None:
    schema = workflow.root / "checkout" / "schemas" / "deployment" / "llamacpp.schema.yaml"
    schema.write_text(f"x-refuses-unknown-keys: true\n{schema.read_text(encoding='utf-8')}", encoding="utf-8")
    with pytest.raises(ConfigError) as raised:
        workflow.load(
            """
            deployment: {type: llamacpp, checkpoint_path: m.gguf}
            execution: {type: slurm, num_nodes: 2, num_instances: 2}
            evaluation: {tasks: [colours]}
            """
        )
    assert [str(problem).splitlines()[0] for problem in raised.value.problems] == [
        "error: run.yaml: execution.num_instances cannot serve deployment m (type llamacpp)"
    ]


def test_problem_names_the_file_that_it_comes_from(workflow: Workflow) -> None:
    with pytest.raises(ConfigError) as raised:
        workflow.load(
            "deployment: {type: llamacpp, checkpoint_path: m, port: 0}\nevaluation: {tasks: [colours], limit: 0}",
            "deployment: {max_num_seqs: 0}\nevaluation: {seed: 1}",
        )
    assert [problem.where for problem in raised.value.problems] == [
        "1.yaml: deployment.port",
        "1.yaml: evaluation.limit",
        "2.yaml: deployment.max_num_seqs",
    ]


def test_every_unreadable_file_is_named(workflow: Workflow) -> None:
    with pytest.raises(ConfigError) as raised:
        workflow.load("a: b: c", "- b")
    assert [problem.where for problem in raised.value.problems] == ["1.yaml:1", "2.yaml"]


def test_wrong_definition_is_named_with_its_line(workflow: Workflow) -> None:
    workflow.write("mine/odd.yaml", "task: odd\ntask: odd\n")
    with pytest.raises(ConfigError) as raised:
        workflow.load(
            "deployment: {type: llamacpp, checkpoint_path: m}\nevaluation: {task_dirs: [mine], tasks: [odd]}\n"
        )
    assert [problem.where for problem in raised.value.problems] == ["mine/odd.yaml:2"]


def test_wrong_name_of_a_file_as_name_of_the_run(workflow: Workflow) -> None:
    file = workflow.write(
        "my run.yaml", "deployment: {type: llamacpp, checkpoint_path: m}\nevaluation: {tasks: [colours]}"
    )
    with pytest.raises(ConfigError) as raised:
        load_config([file], {}, workflow.root / "checkout", {})
    assert [problem.where for problem in raised.value.problems] == ["my run.yaml: run"]
