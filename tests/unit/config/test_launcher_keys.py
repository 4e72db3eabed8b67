"""Keys of the launcher one by one: left out and said so, read as ours, or an error like any other."""

from pathlib import Path

import pytest
from config_workflow import Workflow, make_workflow
from snakeval.config import Config
from snakeval.errors import ConfigError

SLURM = "execution: {type: slurm, %s}\n"
SERVED = "deployment: {type: vllm, runtime: host, checkpoint_path: /m, served_model_name: m, %s}\n"
GENERIC = "deployment: {type: generic, command: run, served_model_name: m, %s}\n"
THERE = "deployment: {type: none, url: 'http://h/v1', model_id: m}\n"
TASKS = "evaluation: {tasks: [colours]}\n"
JUDGE = "auxiliary_deployments: {judge: {type: none, url: 'http://j/v1', model_id: j, %s}}\n"
JUDGED = "evaluation: {tasks: [{name: colours, auxiliary_deployments: [judge]}]}\n"


@pytest.fixture
def workflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workflow:
    monkeypatch.chdir(tmp_path)
    return make_workflow(tmp_path, harnesses=True)


def _params(text: str) -> str:
    return f"nemo_evaluator_config: {{config: {{params: {text}}}}}"


@pytest.mark.parametrize(
    ("text", "notice"),
    [
        (
            SLURM % "hostname: h, username: u" + SERVED % "" + TASKS,
            "execution.hostname, execution.username: left out, ",
        ),
        (SLURM % "subproject: s" + SERVED % "" + TASKS, "execution.subproject: left out, "),
        (SLURM % "proxy: {type: haproxy}" + SERVED % "" + TASKS, "execution.proxy: left out, "),
        ("execution: {mode: parallel}\n" + THERE + TASKS, "execution.mode: left out, "),
        (SLURM % "mounts: {evaluation: {/a: /b}}" + SERVED % "" + TASKS, "execution.mounts.evaluation: left out, "),
        (THERE + "export: {local: {format: json}}\n" + TASKS, "export.local: left out, "),
        (
            THERE + "export: {wandb: {log_mode: multi_task}}\n" + TASKS,
            "export.wandb.log_mode: left out, every task has a run of its own",
        ),
        (
            SLURM % "auto_export: {destinations: [local]}" + SERVED % "" + "export: {wandb: {project: p}}\n" + TASKS,
            "export.wandb: left out, execution.auto_export.destinations does not name it",
        ),
        (
            SERVED % "" + "target: {api_endpoint: {api_key_name: K}}\n" + TASKS,
            "target.api_endpoint.api_key_name: left out, every server",
        ),
        (
            GENERIC.replace("command: run", "command: 'run --port 8080'") % "" + TASKS,
            "deployment.port is 8080, as in its command",
        ),
        (
            THERE + "evaluation: {nemo_evaluator_config: {config: {type: x, output_dir: /results}}, tasks: [colours]}",
            "evaluation.nemo_evaluator_config.config.type, evaluation.nemo_evaluator_config.config.output_dir: left",
        ),
        (THERE + TASKS + "user_config_path: /x\n", "user_config_path: left out, "),
    ],
)
def test_what_has_no_meaning_is_said(workflow: Workflow, text: str, notice: str) -> None:
    notices = workflow.load(text).notices
    assert len(notices) == 1
    assert notices[0].startswith(notice)


def test_what_containers_of_tasks_see_has_meaning_where_there_are_some(workflow: Workflow) -> None:
    task = "{name: simple_evals.humaneval, dataset_dir: /d, dataset_mount_path: /datasets}"
    text = SLURM % "mounts: {evaluation: {/a: /b}}" + SERVED % "" + f"evaluation: {{tasks: [{task}]}}"
    config = workflow.load(text)
    assert config.notices == ()
    assert config.execution.options["mounts"]["evaluation"] == {"/a": "/b"}
    assert config.tasks[0].settings["dataset_mount_path"] == "/datasets"
    for name in ("in", "lock"):
        workflow.write(f"checkout/envs/nvidia-simple-evals.{name}", "nvidia-simple-evals==26.3\n")
    assert workflow.load(text).notices == (
        "evaluation.tasks.simple_evals.humaneval.dataset_mount_path: left out, the task runs in no container and finds "
        "dataset_dir where it is",
        "execution.mounts.evaluation: left out, tasks run in no container and see this machine's folders",
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("execution: {extra_docker_args: '--network host'}\n" + THERE + TASKS, "execution.extra_docker_args cannot be"),
        (SLURM % "evaluation_gpu_visible: true" + SERVED % "" + TASKS, "execution.evaluation_gpu_visible cannot be"),
        (SLURM % "deployment: {n_tasks: 4}" + SERVED % "" + TASKS, "execution.deployment.n_tasks cannot be honoured"),
        (SLURM % "mounts: {auxiliary: {j: {/a: /b}}}" + SERVED % "" + TASKS, "execution.mounts.auxiliary cannot be"),
        (
            SLURM % "auto_export: {destinations: [nowhere]}" + SERVED % "" + TASKS,
            "execution.auto_export.destinations asks for an export that does not exist: nowhere",
        ),
        (SERVED % "endpoints: {health: /ready}" + TASKS, "deployment.endpoints.health cannot be honoured"),
        (SERVED % "endpoints: {chat: /chat}" + TASKS, "deployment.endpoints.chat cannot be honoured"),
        (SERVED % "multiple_instances: true" + TASKS, "deployment.multiple_instances is not supported"),
        (SERVED % "cache_path: /c" + TASKS, "deployment.cache_path cannot be honoured"),
        (
            THERE + JUDGE % "num_nodes: 2" + JUDGED,
            "auxiliary_deployments.judge.num_nodes cannot be honoured",
        ),
        (
            THERE + JUDGE % "command_template: x" + JUDGED,
            "auxiliary_deployments.judge.command_template cannot be honoured",
        ),
        (THERE + "evaluation: {pre_cmd: 'rm -rf /', tasks: [colours]}", "evaluation.pre_cmd holds commands"),
        (
            THERE + "evaluation: {tasks: [{name: colours, post_cmd: x}]}",
            "evaluation.tasks.colours.post_cmd holds commands",
        ),
        (
            THERE + "evaluation: {tasks: [{name: colours, endpoint_type: x}]}",
            "evaluation.tasks.colours.endpoint_type is",
        ),
        (
            THERE + f"evaluation: {{{_params('{temperatur: 1}')}, tasks: [colours]}}",
            "evaluation.nemo_evaluator_config.config.params.temperatur is not a known parameter",
        ),
        (
            THERE + f"evaluation: {{{_params('{limit_samples: 3}')}, limit: 4, tasks: [colours]}}",
            "evaluation.nemo_evaluator_config.config.params.limit_samples says something else than evaluation.limit",
        ),
        (
            THERE + "evaluation: {nemo_evaluator_config: {target: {api_endpoint: {url: x}}}, tasks: [colours]}",
            "evaluation.nemo_evaluator_config.target.api_endpoint.url cannot be honoured",
        ),
        (
            THERE + f"evaluation: {{{_params('{limit_samples: many}')}, tasks: [colours]}}",
            "evaluation.limit has the wrong type",
        ),
        (
            THERE + f"evaluation: {{tasks: [{{name: colours, {_params('{extra: {args: --add_instruction}}')}}}]}}",
            "evaluation.tasks.colours.extra.args is not used by lm-eval",
        ),
    ],
)
def test_what_cannot_be_honoured_is_an_error(workflow: Workflow, text: str, said: str) -> None:
    with pytest.raises(ConfigError) as raised:
        workflow.load(text)
    assert len(raised.value.problems) == 1
    assert str(raised.value).startswith(f"error: run.yaml: {said}")


def test_all_that_cannot_be_honoured_comes_at_once(workflow: Workflow) -> None:
    text = SLURM % "evaluation_gpu_visible: true, partitoin: x" + SERVED % "multiple_instances: true" + TASKS
    with pytest.raises(ConfigError) as raised:
        workflow.load(text)
    assert [problem.where for problem in raised.value.problems] == [
        "run.yaml: deployment.multiple_instances",
        "run.yaml: execution.evaluation_gpu_visible",
        "run.yaml: execution.partitoin",
    ]


def _settings(config: Config) -> list[tuple[object, ...]]:
    names = ("temperature", "top_p", "max_new_tokens", "parallelism", "request_timeout_s", "max_retries", "num_fewshot")
    return [(task.limit, task.repeats, *(task.settings[name] for name in names)) for task in config.tasks]


@pytest.mark.parametrize("form", ["nemo_evaluator_config", "overrides"])
def test_both_forms_of_settings(workflow: Workflow, form: str) -> None:
    values = {"limit_samples": 3, "temperature": 0.5, "top_p": 0.9, "max_new_tokens": 7, "parallelism": 2}
    values |= {"request_timeout": 60, "max_retries": 1, "extra.num_fewshot": 4, "extra.n_samples": 5}
    if form == "overrides":
        settings = ", ".join(f"config.params.{name}: {value}" for name, value in values.items())
        own = "overrides: {config.params.temperature: 1.5}"
    else:
        extra = "extra: {num_fewshot: 4, n_samples: 5}"
        inner = ", ".join(f"{name}: {value}" for name, value in values.items() if "." not in name)
        settings = f"config: {{params: {{{inner}, {extra}}}}}"
        own = _params("{temperature: 1.5}")
    config = workflow.load(THERE + f"evaluation: {{{form}: {{{settings}}}, tasks: [colours, {{name: gsm8k, {own}}}]}}")
    assert _settings(config) == [(3, 5, 0.5, 0.9, 7, 2, 60, 1, 4), (3, 5, 1.5, 0.9, 7, 2, 60, 1, 4)]


def test_an_override_of_the_command_line_wins_in_either_spelling(workflow: Workflow) -> None:
    text = THERE + f"evaluation: {{{_params('{limit_samples: 3}')}, tasks: [colours]}}"
    assert workflow.load(text, overrides={"evaluation.limit": "5"}).tasks[0].limit == 5
    theirs = {"evaluation.nemo_evaluator_config.config.params.limit_samples": "6"}
    assert workflow.load(text, overrides=theirs).tasks[0].limit == 6
    assert workflow.load(THERE + "evaluation: {limit: 2, tasks: [colours]}", overrides=theirs).tasks[0].limit == 6


def test_the_adapter(workflow: Workflow) -> None:
    adapter = (
        "{use_system_prompt: true, custom_system_prompt: Be brief., process_reasoning_traces: %s, use_caching: true}"
    )
    place = "evaluation: {nemo_evaluator_config: {target: {api_endpoint: {adapter_config: %s}}}, tasks: [%s]}"
    config = workflow.load(THERE + place % (adapter % "false", "colours"))
    assert config.tasks[0].settings["system_prompt"] == "Be brief."
    (task,) = workflow.load(THERE + place % (adapter % "true", "hle.hle")).tasks
    assert task.settings["adapter_config"] == {"process_reasoning_traces": True}
    text = f"target: {{api_endpoint: {{url: 'http://h/v1', model_id: m, adapter_config: {adapter % 'true'}}}}}\n"
    (task,) = workflow.load("deployment: {type: none}\n" + text + "evaluation: {tasks: [hle.hle]}\n").tasks
    assert task.settings["adapter_config"] == {"process_reasoning_traces": True}


def test_older_spellings_of_variables(workflow: Workflow) -> None:
    text = """
        execution: {env_vars: {deployment: {A: HF_TOKEN, B: 1}, evaluation: {C: HF_TOKEN}}}
        deployment:
          {type: vllm, runtime: host, checkpoint_path: /m, served_model_name: m,
           env_vars: {D: '2.5', E: true, F: 'lit:x'}}
        evaluation: {env_vars: {G: OTHER}, tasks: [{name: colours, env_vars: {H: OTHER}}]}
    """
    config = workflow.load(text, environ={"HF_TOKEN": "s", "OTHER": "s"})
    servers = {"A": "host:HF_TOKEN", "B": "lit:1", "D": "lit:2.5", "E": "lit:true", "F": "lit:x"}
    assert config.deployments[0].env_vars == servers
    assert config.tasks[0].env_vars == {"C": "host:HF_TOKEN", "G": "host:OTHER", "H": "host:OTHER"}


def test_a_pasted_secret_is_no_older_spelling(workflow: Workflow) -> None:
    text = SERVED % "env_vars: {HF_TOKEN: hf_planted, MY_KEY: '123456'}" + TASKS
    with pytest.raises(ConfigError) as raised:
        workflow.load(text)
    assert [problem.where.split()[1] for problem in raised.value.problems] == [
        "deployment.env_vars.HF_TOKEN",
        "deployment.env_vars.MY_KEY",
    ]
    assert "planted" not in str(raised.value)
    assert "123456" not in str(raised.value)


def test_paths_of_a_generic_server(workflow: Workflow) -> None:
    endpoints = "endpoints: {chat: /openai/v1/chat/completions, health: /ready}"
    options = workflow.load(GENERIC % endpoints + TASKS).deployments[0].options
    assert (options["base_path"], options["health_path"]) == ("/openai/v1", "/ready")


def test_a_hub_id_as_checkpoint_only_in_the_launchers_groups(workflow: Workflow) -> None:
    text = "deployment: {type: vllm, runtime: host, checkpoint_path: org/model, served_model_name: m}\n" + TASKS
    assert workflow.load(text).deployments[0].options["checkpoint_path"] == "org/model"
    text = "defaults: [{execution: slurm/default}, _self_]\n" + text
    options = workflow.load(text).deployments[0].options
    assert (options["checkpoint_path"], options["hf_model_handle"]) == (None, "org/model")
    (workflow.root / "org/model").mkdir(parents=True)
    assert workflow.load(text).deployments[0].options["checkpoint_path"] == "org/model"


def test_the_launchers_defaults_only_in_its_groups(workflow: Workflow) -> None:
    text = SERVED % "" + TASKS
    assert workflow.load(text).deployments[0].options["tensor_parallel_size"] == 1
    config = workflow.load("defaults: [{execution: slurm/default}, _self_]\n" + text)
    options = config.deployments[0].options
    assert (options["tensor_parallel_size"], options["gpu_memory_utilization"]) == (8, 0.95)
    assert config.execution.options["gres"] == "gpu:8"
    assert sum("the launcher's default" in notice for notice in config.notices) == 2


def test_completions_does_not_turn_multiple_choice_into_generation(workflow: Workflow) -> None:
    (task,) = workflow.load(THERE + "evaluation: {tasks: [{name: choices, endpoint_type: completions}]}").tasks
    assert task.protocol.value == "loglikelihood"


PLATFORM = "execution: {lepton_platform: {%s}}\n"


def test_variables_of_leptons_tasks(workflow: Workflow) -> None:
    variables = "HF_TOKEN: {value_from: {secret_name_ref: mine}}, API_KEY: {value_from: {secret_name_ref: other}}"
    config = workflow.load(PLATFORM % f"tasks: {{env_vars: {{{variables}}}, node_group: g}}" + THERE + TASKS)
    assert config.tasks[0].env_vars == {"HF_TOKEN": "runtime:HF_TOKEN"}
    assert [notice.split(" ")[0].rstrip(",:") for notice in config.notices] == [
        "execution.lepton_platform.tasks.env_vars.API_KEY",
        "execution.lepton_platform.tasks",
        "execution.lepton_platform.tasks.env_vars.HF_TOKEN",
    ]
    assert "--lepton-secrets HF_TOKEN=mine" in config.notices[2]


def test_a_plain_variable_of_leptons_tasks_is_refused_and_not_shown(workflow: Workflow) -> None:
    with pytest.raises(ConfigError) as raised:
        workflow.load(PLATFORM % "tasks: {env_vars: {HF_HOME: planted}}" + THERE + TASKS)
    assert [problem.where for problem in raised.value.problems] == [
        "run.yaml: execution.lepton_platform.tasks.env_vars.HF_HOME"
    ]
    assert "planted" not in str(raised.value)


def test_what_a_backend_learns_to_mount_is_left_alone(workflow: Workflow) -> None:
    known = "mounts" in (workflow.root / "checkout/schemas/execution/slurm.schema.yaml").read_text(encoding="utf-8")
    config = workflow.load(SLURM % "mounts: {deployment: {}, mount_home: false}" + SERVED % "" + TASKS)
    assert [notice.partition(":")[0] for notice in config.notices] == ([] if known else ["execution.mounts.mount_home"])


def test_a_generic_server_sees_its_checkpoint_where_it_can_be_mounted(workflow: Workflow) -> None:
    """With a schema of `execution` that has mounts, and one of type generic that has images."""
    for name, keys in (("execution/slurm", "mounts: {type: object}"), ("deployment/generic", "image: {type: string}")):
        schema = workflow.root / "checkout/schemas" / f"{name}.schema.yaml"
        key = keys.partition(":")[0]
        if f"\n  {key}:" not in schema.read_text(encoding="utf-8"):
            schema.write_text(
                schema.read_text(encoding="utf-8").replace("\nproperties:\n", f"\nproperties:\n  {keys}\n")
            )
    served = GENERIC.replace("command: run", "command: run /checkpoint") % "image: 'a/b:1', checkpoint_path: /m"
    config = workflow.load(SLURM % "container_runtime: pyxis" + served + TASKS)
    assert config.deployments[0].options["command"] == "run /m"
    assert config.execution.options["mounts"]["deployment"] == {"/m": "/m:ro"}


def test_auto_export_names_what_is_exported(workflow: Workflow) -> None:
    text = """
        execution: {type: slurm, auto_export: {destinations: [local, mlflow, wandb], launcher_install_cmd: x}}
        deployment: {type: none, url: 'http://h/v1', model_id: m}
        export: {mlflow: {tracking_uri: 'http://tracking:5000', experiment_name: nightly, tags: {team: a}}}
        evaluation: {tasks: [colours]}
    """
    config = workflow.load(text)
    mlflow, wandb = config.exports
    assert (mlflow.format, wandb.format) == ("mlflow", "wandb")
    assert mlflow.settings["experiment_name"] == "nightly"
    assert wandb.settings["project"] == "snakeval"
    assert config.notices == ()
