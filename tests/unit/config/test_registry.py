"""The registry: every task of the launcher by its name, in the file of its harness and in the index."""

import os
import shutil
import time
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from config_workflow import Workflow, launchers_tasks, make_workflow
from snakeval.commands.tasks.catalogue import index_of
from snakeval.config import Config, Protocol, load_config
from snakeval.config.reading.schema_files import Schemas
from snakeval.config.reading.tree import Node
from snakeval.config.tasks import registry as registry_module
from snakeval.config.tasks.registry import Registry
from snakeval.errors import ConfigError
from snakeval.harnesses.availability import harness_problems, is_runnable
from snakeval.system.checkout import ROOT

HARNESSES = ROOT / "config" / "harnesses"
GOLDEN = ROOT / "tests" / "fixtures" / "registry.tsv"
REGISTRY = Registry(HARNESSES)
_INDEXED = launchers_tasks()
LAUNCHERS = {task: [name for name, one in _INDEXED if one == task] for _, task in _INDEXED}
NOWHERE = {"deployment": {"type": "none", "url": "http://h/v1", "model_id": "m"}}
AMBIGUOUS = {
    "mmlu": "lm-eval.mmlu",
    "ifeval": "lm-eval.ifeval",
    "mmlu_pro": "lm-eval.mmlu_pro",
    "humaneval_instruct": "lm-eval.humaneval_instruct",
    "mgsm": "lm-evaluation-harness.mgsm",
    "ifbench": "ifbench.ifbench",
    "humaneval": "lm-eval.humaneval",
    "humanevalplus": "simple_evals.humanevalplus",
    "gpqa_diamond": "simple_evals.gpqa_diamond",
    "scicode": "scicode.scicode",
    "hle": "hle.hle",
}


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> Config:
    """Every task of the registry, by its full name and by its bare one."""
    full = sorted(f"{harness}.{task}" for harness, task in _INDEXED)
    # Names that differ by case alone cannot be in one run.
    alike = {task for task in LAUNCHERS if task != task.lower() and task.lower() in LAUNCHERS}
    alike |= {f"simple_evals.{task}" for task in alike}
    names = full + sorted(LAUNCHERS)
    file = tmp_path_factory.mktemp("everything") / "run.yaml"
    configs = []
    for tasks in ([name for name in names if name not in alike], sorted(alike)):
        file.write_text(yaml.safe_dump(NOWHERE | {"evaluation": {"tasks": tasks}}), encoding="utf-8")
        configs.append(load_config([file], {}, ROOT, {}))
    one, other = configs
    return replace(one, tasks=one.tasks + other.tasks, notices=one.notices + other.notices)


def test_every_name_resolves_as_in_the_golden_table(everything: Config) -> None:
    """With SNAKEVAL_WRITE_GOLDEN in the environment the table is written anew, to be looked at before a commit."""
    rows = [
        f"{task.name}\t{task.harness}.{task.task}\t{task.protocol}\t{task.module or task.harness}\n"
        for task in everything.tasks
    ]
    table = "# name in a configuration, harness.task, protocol, module\n" + "".join(rows)
    if os.environ.get("SNAKEVAL_WRITE_GOLDEN"):
        GOLDEN.write_text(table, encoding="utf-8")
    assert table == GOLDEN.read_text(encoding="utf-8")


def test_the_launchers_numbers() -> None:
    tasks = [(harness, task) for task, harnesses in LAUNCHERS.items() for harness in harnesses]
    assert (len(tasks), len({harness for harness, _ in tasks})) == (421, 23)
    assert {task for task, harnesses in LAUNCHERS.items() if len(harnesses) > 1} == set(AMBIGUOUS)


def test_index_and_files_agree() -> None:
    indexed = {(harness, task) for task, harnesses in REGISTRY.tasks().items() for harness in harnesses}
    found = set()
    for name in REGISTRY.names():
        harness = REGISTRY.harness(name)
        assert harness is not None
        assert harness.name == name
        assert "@sha256:" in harness.container
        assert all(task.protocols for task in harness.tasks.values())
        found |= {(name, task) for task in harness.tasks}
    assert found == indexed


def test_the_schema_names_every_harness() -> None:
    schema = Schemas(ROOT / "schemas").read("task")
    assert list(schema.properties["harness"].choices) == [
        "lm-eval",
        "lm-evaluation-harness",
        "command",
        "inspect",
        "inspect_evals",
        *(name for name in REGISTRY.names() if name != "lm-evaluation-harness"),
        None,
    ]


def test_what_lm_eval_runs_natively_is_shipped() -> None:
    shipped = {line.split("\t")[0] for line in (HARNESSES / "lm-eval.tsv").read_text(encoding="utf-8").splitlines()}
    harness = REGISTRY.harness("lm-evaluation-harness")
    assert harness is not None
    native = [task.native for task in harness.tasks.values() if task.native]
    assert len(native) == 101
    assert {entry.task for entry in native} <= shipped


def test_ambiguous_names_resolve_by_preference_and_say_so(everything: Config) -> None:
    by_name = {task.name: task for task in everything.tasks}
    for name, chosen in AMBIGUOUS.items():
        notice = next(notice for notice in everything.notices if notice.startswith(f"task {name} is "))
        assert notice.startswith(f"task {name} is {chosen} ({by_name[name].protocol})")
        others = [f"{harness}.{name}" for harness in REGISTRY.holders(name) if f"{harness}.{name}" != chosen]
        assert any(other in notice for other in others)
    assert not [notice for notice in everything.notices if "." in notice.split()[1]], "a full name needs no notice"


def test_only_named_harnesses_are_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    registry_module._read.cache_clear()
    file = tmp_path / "run.yaml"
    file.write_text(yaml.safe_dump(NOWHERE | {"evaluation": {"tasks": ["simple_evals.mmlu_pro"]}}), encoding="utf-8")
    load_config([file], {}, ROOT, {})
    assert registry_module._read.cache_info().currsize == 1
    began = time.perf_counter()
    registry_module._index.cache_clear()
    assert REGISTRY.holders("gsm8k") == ["lm-evaluation-harness"]
    assert time.perf_counter() - began < 1, "the index is 16 kB"


def test_settings_of_the_registry_stand_where_the_configuration_says_nothing(everything: Config) -> None:
    by_name = {task.name: task for task in everything.tasks}
    aime = by_name["simple_evals.AIME_2025"]
    assert (aime.repeats, aime.settings["temperature"], aime.settings["max_new_tokens"]) == (10, 0.0, 16384)
    assert aime.settings["extra"]["judge"]["api_key"] == "JUDGE_API_KEY"
    winogrande = by_name["lm-evaluation-harness.winogrande"]
    assert (winogrande.harness, winogrande.settings["num_fewshot"]) == ("lm-eval", 5)
    assert by_name["winogrande"].settings["num_fewshot"] is None


@pytest.fixture
def workflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workflow:
    monkeypatch.chdir(tmp_path)
    return make_workflow(tmp_path, harnesses=True)


def _load(workflow: Workflow, evaluation: str) -> Config:
    return workflow.load(yaml.safe_dump(NOWHERE) + f"evaluation: {evaluation}\n")


def test_the_configuration_wins_over_the_registry(workflow: Workflow) -> None:
    text = "{temperature: 0.6, tasks: [{name: simple_evals.AIME_2025, repeats: 3, extra: {judge: {model_id: j}}}]}"
    (task,) = _load(workflow, text).tasks
    assert (task.repeats, task.settings["temperature"], task.settings["parallelism"]) == (3, 0.6, 10)
    assert task.settings["extra"]["judge"] == {**task.settings["extra"]["judge"], "model_id": "j", "backend": "openai"}
    (native,) = _load(workflow, "{max_new_tokens: 7, tasks: [lm-evaluation-harness.mmlu_pro_instruct]}").tasks
    assert (native.settings["max_new_tokens"], native.settings["num_fewshot"]) == (7, 0)


def test_our_keys_reach_the_parameters_below_extra(workflow: Workflow) -> None:
    text = "{num_fewshot: 2, tasks: [{name: lm-evaluation-harness.mmlu_instruct, tokenizer: org/m}, hle.hle]}"
    lm_eval, hle = _load(workflow, text).tasks
    assert (lm_eval.settings["extra"]["num_fewshot"], lm_eval.settings["extra"]["tokenizer"]) == (2, "org/m")
    assert (lm_eval.settings["num_fewshot"], hle.settings["num_fewshot"], hle.settings["extra"]) == (None, None, {})
    (garak,) = _load(workflow, "{tasks: [{name: garak.garak, seed: 7}]}").tasks
    assert (garak.settings["extra"]["seed"], garak.settings["seed"]) == (7, None)


def test_the_image_and_its_override_are_part_of_the_fingerprint(workflow: Workflow) -> None:
    def fingerprint(task: str) -> str:
        return _load(workflow, f"{{tasks: [{task}]}}").tasks[0].fingerprint

    plain = fingerprint("hle.hle")
    data = "{name: hle.hle, dataset_dir: /d%s}"
    assert fingerprint(data % ", dataset_mount_path: /elsewhere") == fingerprint(data % "") != plain
    assert fingerprint("{name: other, task: hle, harness: hle}") == plain
    assert fingerprint("{name: hle.hle, container: 'my/hle:1'}") != plain
    file = workflow.root / "checkout/config/harnesses/hle.yaml"
    file.write_text(file.read_text(encoding="utf-8").replace("@sha256:4928", "@sha256:0000"), encoding="utf-8")
    registry_module._read.cache_clear()
    assert fingerprint("hle.hle") != plain


def test_own_definitions_come_first(workflow: Workflow) -> None:
    workflow.write("mine/gpqa_diamond.yaml", "task: gpqa_diamond\noutput_type: generate_until\n")
    config = _load(workflow, "{task_dirs: [mine], tasks: [gpqa_diamond]}")
    assert (config.tasks[0].harness, config.notices) == ("lm-eval", ())


@pytest.mark.parametrize(
    ("evaluation", "said"),
    [
        ("{tasks: [{name: bfcl.bfclv3, temperature: 0.5}]}", "tasks.bfcl.bfclv3.temperature is not used by bfcl"),
        ("{tasks: [{name: bfcl.bfclv3, repeats: 2}]}", "tasks.bfcl.bfclv3.repeats is not used by bfcl"),
        ("{repeats: 2, tasks: [bfcl.bfclv3]}", "tasks.bfcl.bfclv3.repeats is not used by bfcl"),
        ("{tasks: [{name: bfcl.bfclv3, num_fewshot: 2}]}", "tasks.bfcl.bfclv3.num_fewshot is not used by bfcl"),
        ("{tasks: [{name: bfcl.bfclv3, extra: {nativ: true}}]}", "tasks.bfcl.bfclv3.extra.nativ is not used by bfcl"),
        ("{tasks: [{name: colours, extra: {native: true}}]}", "tasks.colours.extra.native is not used by lm-eval"),
        ("{tasks: [{name: colours, container: 'a/b:1'}]}", "tasks.colours.container is not used by lm-eval"),
        ("{tasks: [{name: colours, dataset_dir: /d}]}", "tasks.colours.dataset_dir is not used by lm-eval"),
        (
            "{tasks: [{name: hle.hle, dataset_mount_path: /d}]}",
            "tasks.hle.hle.dataset_mount_path has no meaning without dataset_dir",
        ),
        (
            "{tasks: [{name: hle.hle, dataset_dir: /d, dataset_mount_path: d}]}",
            "tasks.hle.hle.dataset_mount_path has the wrong form",
        ),
        ("{tasks: [{name: hle.hle, container: 'a/b:latest'}]}", "tasks.hle.hle.container names no version"),
        ("{extra: {native: true}, tasks: [colours]}", "extra.native is used by no task"),
        (
            "{adapter_config: {include_if_reasoning_not_finished: true}, tasks: [colours, hle.hle]}",
            "adapter_config.include_if_reasoning_not_finished cannot be honoured for task colours (lm-eval)",
        ),
        (
            "{tasks: [{name: hle.hle, adapter_config: {use_cachin: true}}]}",
            "tasks.hle.hle.adapter_config.use_cachin is no setting of nemo-evaluator's adapter",
        ),
        (
            "{adapter_config: {mode: client}, tasks: [hle.hle]}",
            "adapter_config.mode is no setting of nemo-evaluator's adapter",
        ),
        ("{tasks: [bfcl.bfclv4]}", "tasks.bfcl.bfclv4.name names an unknown task of bfcl"),
        ("{tasks: [{name: bfcl.bfclv3, harness: hle}]}", "tasks.bfcl.bfclv3.harness contradicts the name of the task"),
    ],
)
def test_what_a_task_does_not_use_is_an_error(workflow: Workflow, evaluation: str, said: str) -> None:
    with pytest.raises(ConfigError) as raised:
        _load(workflow, evaluation)
    assert [f"error: run.yaml: evaluation.{said}"] == [
        line
        for line in str(raised.value).splitlines()
        if line.startswith("error: ") and "unknown task of hle" not in line
    ]


def test_shared_settings_reach_the_tasks_that_know_them(workflow: Workflow) -> None:
    config = _load(workflow, "{extra: {tokenizer: org/model, native_calling: true}, tasks: [colours, bfcl.bfclv3]}")
    colours, bfcl = config.tasks
    assert (colours.settings["tokenizer"], colours.settings["extra"]) == ("org/model", {})
    assert bfcl.settings["extra"]["native_calling"] is True
    assert "tokenizer" not in bfcl.settings["extra"]


def test_a_pasted_key_is_refused_and_not_shown(workflow: Workflow) -> None:
    judge = "{judge: {api_key: %s}}"
    adapter = "{headers_to_add: {Authorization: Bearer planted}}"
    with pytest.raises(ConfigError) as raised:
        tasks = f"[{{name: simple_evals.AIME_2025, extra: {judge % 'sk-planted'}, adapter_config: {adapter}}}]"
        _load(workflow, f"{{extra: {judge % 'planted'}, tasks: {tasks}}}")
    assert [problem.where for problem in raised.value.problems] == [
        "run.yaml: evaluation.extra.judge.api_key",
        "run.yaml: evaluation.tasks.simple_evals.AIME_2025.adapter_config.headers_to_add.Authorization",
        "run.yaml: evaluation.tasks.simple_evals.AIME_2025.extra.judge.api_key",
    ]
    assert "planted" not in str(raised.value)
    task = f"[{{name: simple_evals.AIME_2025, extra: {judge % 'MY_JUDGE_KEY'}}}]"
    assert _load(workflow, f"{{tasks: {task}}}").tasks[0].settings["extra"]["judge"]["api_key"] == "MY_JUDGE_KEY"


def test_what_cannot_run_is_planned_and_told_before_the_run(workflow: Workflow) -> None:
    """Tasks without an environment run in images, which need something that runs those."""
    tasks = "{tasks: [colours, hle.hle, lm-evaluation-harness.gsm8k, scicode]}"
    config = _load(workflow, tasks)
    assert [is_runnable(task) for task in config.tasks] == [True] * 4
    assert [task.container.partition("@")[0] for task in config.tasks] == [
        "",
        "nvcr.io/nvidia/eval-factory/hle:26.03",
        "",
        "nvcr.io/nvidia/eval-factory/scicode:26.03",
    ]
    (problem,) = harness_problems(config)
    assert (problem.where, problem.got) == ("execution.container_runtime", "none, with the tasks hle.hle, scicode")
    assert problem.expected == "one of apptainer, podman"
    podman = replace(config.execution, options=Node({**config.execution.options, "container_runtime": "podman"}))
    assert harness_problems(replace(config, execution=podman)) == []
    pyxis = replace(config.execution, type="slurm", options=Node({"container_runtime": "pyxis"}))
    assert harness_problems(replace(config, execution=pyxis)) == []
    (problem,) = harness_problems(replace(config, execution=pyxis), as_jobs=False)
    assert problem.got == "pyxis, with the tasks hle.hle, scicode, on this machine"
    beside = replace(pyxis, options=Node({**pyxis.options, "evaluate_in": "allocation"}))
    assert harness_problems(replace(config, execution=beside), as_jobs=False) == []
    lepton = replace(config.execution, type="lepton", options=Node({}))
    (problem,) = harness_problems(replace(config, execution=lepton))
    assert problem.where == "execution.type"
    assert problem.got == "lepton, with tasks that run in images: hle.hle, scicode"
    assert harness_problems(_load(workflow, "{tasks: [colours, lm-evaluation-harness.gsm8k]}")) == []
    unknown = replace(config, tasks=(replace(config.tasks[1], module="other", container=""),))
    assert ["has no module" in str(one) for one in harness_problems(unknown)] == [True]


def test_pip_harnesses_run_in_their_environment_and_not_in_a_chosen_image(workflow: Workflow) -> None:
    names = {"simple_evals.mmlu_pro": "nvidia-simple-evals", "bfcl.bfclv3": "nvidia-bfcl"}
    for lock in names.values():
        shutil.copy(ROOT / "envs" / f"{lock}.lock", workflow.root / "checkout/envs")
        shutil.copy(ROOT / "envs" / f"{lock}.in", workflow.root / "checkout/envs")
    for name, environment in names.items():
        (task,) = _load(workflow, f"{{tasks: [{name}]}}").tasks
        assert (task.environment, task.container) == (environment, "")
        assert task.components["versions.nemo-evaluator"] == "0.2.8"
        (own,) = _load(workflow, f"{{tasks: [{{name: {name}, container: 'my/image:1'}}]}}").tasks
        assert (own.environment, own.container) == ("", "my/image:1")
        assert own.components["versions.container"] == "my/image:1"


def test_embeddings_are_asked_of_who_answers_them(workflow: Workflow) -> None:
    (task,) = _load(workflow, "{tasks: [mteb.fiqa]}").tasks
    assert task.protocol is Protocol.EMBEDDINGS
    with pytest.raises(ConfigError, match="is not answered by deployment m"):
        workflow.load("deployment: {type: llamacpp, checkpoint_path: m.gguf}\nevaluation: {tasks: [mteb.fiqa]}\n")


def test_the_index_of_a_checkout_knows_both(tmp_path: Path) -> None:
    index = index_of(ROOT, (tmp_path,))
    assert {"gsm8k", "boolean_expressions", "bfclv3"} <= set(index.names())


OWN_HARNESS = {
    "harness": "mine",
    "version": "1",
    "module": "command",
    "container": f"me/mine:1@sha256:{'0' * 64}",
    "platforms": ["linux/amd64"],
    "settings": [],
    "tasks": {"mine": {"protocols": ["chat"]}},
}


def test_a_harness_of_ones_own_is_found_by_its_file_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(OWN_HARNESS), encoding="utf-8")
    registry = Registry(tmp_path)
    assert registry.holders("mine") == ["mine"]
    found = registry.harness("mine")
    assert found is not None
    assert (found.package, found.environment, list(found.tasks)) == (None, "", ["mine"])


@pytest.mark.parametrize(
    ("changes", "lines"),
    [
        ({"container": None}, ["mine.yaml: container is missing", "got:      nothing", "hint:     The image that it"]),
        ({"container": "me/mine:1"}, ["container has the wrong form", "expected: [REGISTRY/]NAME:TAG@sha256:DIGEST"]),
        ({"modul": "command"}, ["modul is not a known key", "did you mean module?", "config/README.md lists every"]),
        ({"tasks": {"mine": {}}}, ["tasks.mine.protocols is missing"]),
        (
            {"tasks": {"mine": {"protocols": ["talk"]}}},
            ["mine.protocols.0 is not a known value", "expected: one of chat, completions"],
        ),
        ({"tasks": {"mine": {"protocols": ["chat"], "judges": 1}}}, ["tasks.mine.judges is not a known key"]),
        (
            {"harness": "other"},
            ["mine.yaml: harness differs from the file's name", "got:      other", "expected: mine"],
        ),
    ],
)
def test_a_wrong_file_of_a_harness_is_told(tmp_path: Path, changes: dict[str, object], lines: list[str]) -> None:
    content = {key: value for key, value in {**OWN_HARNESS, **changes}.items() if value is not None}
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        Registry(tmp_path).harness("mine")
    for line in lines:
        assert line in str(caught.value)
