"""Auxiliary deployments: how tasks name them, what they are told, what is wrong with a configuration of them."""

from pathlib import Path

import pytest
from config_workflow import Workflow, make_workflow
from snakeval.config import Config
from snakeval.config.secrets import resolve_env
from snakeval.endpoint import Endpoint
from snakeval.errors import ConfigError
from snakeval.evaluation.auxiliary import with_auxiliaries

TOP = """
deployment: {type: none, url: 'http://h/v1', model_id: m}
auxiliary_deployments:
  judge: {type: none, url: 'http://j/v1/chat/completions', model_id: wise}
  user-simulator: {type: none, url: 'http://u/v1', model_id: chatty, env_prefix: USER_SIM}
"""


@pytest.fixture
def workflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workflow:
    monkeypatch.chdir(tmp_path)
    return make_workflow(tmp_path, harnesses=True)


def _load(workflow: Workflow, *tasks: str, top: str = TOP, more: str = "") -> Config:
    return workflow.load(f"{top}\nevaluation: {{tasks: [{', '.join(tasks)}]{more}}}\n")


BOTH = "{name: other, command: x, auxiliary_deployments: [judge, user-simulator]}"


@pytest.mark.parametrize(
    ("task", "used"),
    [
        ("colours", ()),
        ("{name: t, command: [run, auxiliary_deployments.judge.chat_url]}", ("judge",)),
        ("{name: t, command: 'run $JUDGE_MODEL_ID --simulator $USER_SIM_CHAT_URL'}", ("judge", "user-simulator")),
        ("{name: t, command: 'run $PREJUDGE_MODEL_ID'}", ()),
        ("{name: t, command: run, env_vars: {A: 'lit:auxiliary_deployments.judge.base_url'}}", ("judge",)),
        ("{name: t, command: run, auxiliary_deployments: [user-simulator]}", ("user-simulator",)),
        ("{name: t, command: [run, --grader, openai-api/judge/wise]}", ("judge",)),
        (
            "{name: simple_evals.AIME_2025, extra: {judge: {url: auxiliary_deployments.judge.chat_url}}}",
            ("judge",),
        ),
        # The registry's default names the key's variable for every judge.
        ("simple_evals.AIME_2025", ()),
    ],
)
def test_a_task_uses_what_its_settings_name(workflow: Workflow, task: str, used: tuple[str, ...]) -> None:
    config = _load(workflow, task, BOTH)
    assert config.tasks[0].auxiliaries == used
    assert [one.name for one in config.auxiliaries] == ["judge", "user-simulator"]
    assert [one.env_prefix for one in config.auxiliaries] == ["JUDGE", "USER_SIM"]
    assert [one.name for one in config.served] == ["m", "judge", "user-simulator"]


def test_another_judge_is_another_task(workflow: Workflow) -> None:
    tasks = ("colours", BOTH)
    before, after = (_load(workflow, *tasks, top=TOP.replace("wise", name)) for name in ("wise", "wiser"))
    assert before.tasks[0].fingerprint == after.tasks[0].fingerprint
    assert before.tasks[1].fingerprint != after.tasks[1].fingerprint
    assert {"auxiliaries.judge", "auxiliaries.user-simulator"} <= before.tasks[1].components.keys()


def test_without_auxiliary_deployments_fingerprints_stay(workflow: Workflow) -> None:
    alone = "deployment: {type: none, url: 'http://h/v1', model_id: m}\n"
    assert (
        _load(workflow, "colours", top=alone).tasks[0].fingerprint
        == _load(workflow, "colours", BOTH).tasks[0].fingerprint
    )


def test_a_task_is_told_url_and_model_by_value_and_the_key_by_name(workflow: Workflow) -> None:
    task = "{name: simple_evals.AIME_2025, extra: {judge: {url: auxiliary_deployments.judge.chat_url, "
    task += "model_id: auxiliary_deployments.judge.model_id}}}"
    config = _load(workflow, task, BOTH)
    judge, simulator = config.auxiliaries
    endpoints = [
        (judge, Endpoint("http://j:1/v1", "wise", "sesame")),
        (simulator, Endpoint("http://u/v1", "chatty", None)),
    ]
    told, keys = with_auxiliaries(config.tasks[0], endpoints)
    assert told.settings["extra"]["judge"]["url"] == "http://j:1/v1/chat/completions"
    assert told.settings["extra"]["judge"]["model_id"] == "wise"
    assert told.settings["extra"]["judge"]["api_key"] == "JUDGE_API_KEY"
    assert "sesame" not in repr(told)
    environment = resolve_env(told.env_vars, keys)
    assert environment == {
        "JUDGE_CHAT_URL": "http://j:1/v1/chat/completions",
        "JUDGE_BASE_URL": "http://j:1/v1",
        "JUDGE_MODEL_ID": "wise",
        "JUDGE_API_KEY": "sesame",
        "USER_SIM_CHAT_URL": "http://u/v1/chat/completions",
        "USER_SIM_BASE_URL": "http://u/v1",
        "USER_SIM_MODEL_ID": "chatty",
        "USER_SIM_API_KEY": "none",
    }


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (TOP, "auxiliary_deployments.judge is used by no task"),
        (TOP.replace("USER_SIM", "JUDGE"), "env_prefix is the prefix of auxiliary deployment judge too"),
        (TOP.replace("USER_SIM", "SLURM"), "auxiliary_deployments.user-simulator.env_prefix is reserved"),
        (TOP.replace("USER_SIM", "sim"), "auxiliary_deployments.user-simulator.env_prefix has the wrong form"),
        (TOP.replace("judge:", "m:"), "names a second deployment"),
        (TOP.replace("judge:", "ju.dge:"), "has the wrong name"),
        (
            TOP.replace("type: none, url: 'http://j", "type: non, url: 'http://j"),
            "judge.type is not a known deployment",
        ),
        (TOP.replace("model_id: wise", "model_idd: wise"), "judge.model_idd is not a known key"),
        (TOP + "target: {api_endpoint: {url: 'http://x/v1'}}\n", "auxiliary_deployments.judge is used by no task"),
        (TOP.replace("model_id: wise", "model_id: null"), "hint:     set model_id of this deployment"),
    ],
)
def test_what_is_wrong_is_told(workflow: Workflow, text: str, said: str) -> None:
    with pytest.raises(ConfigError) as error:
        _load(workflow, "colours", top=text)
    assert said in str(error.value)


def test_an_unknown_name_is_told(workflow: Workflow) -> None:
    task = "{name: t, command: [run, auxiliary_deployments.jugde.chat_url]}"
    with pytest.raises(ConfigError) as error:
        _load(workflow, task, BOTH)
    assert "command names an unknown auxiliary deployment" in str(error.value)
    assert "judge" in str(error.value)


def test_the_resolved_configuration_can_be_run_again(workflow: Workflow) -> None:
    import yaml

    config = _load(workflow, "colours", BOTH)
    again = workflow.load(yaml.safe_dump(dict(config.resolved)))
    assert [one.fingerprint for one in again.served] == [one.fingerprint for one in config.served]
    assert [one.fingerprint for one in again.tasks] == [one.fingerprint for one in config.tasks]
