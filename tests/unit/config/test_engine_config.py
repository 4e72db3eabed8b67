"""The keys of the known engines: what is derived, what changes a score, what is refused and how that is worded."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from config_workflow import Workflow, make_workflow
from snakeval.config.engines import image_major, reserved_words, weights_name, wrong_extra_args
from snakeval.config.model import Config, Deployment
from snakeval.config.reading.schema_files import Schemas
from snakeval.errors import ConfigError
from snakeval.system.checkout import ROOT

CASES = yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text(encoding="utf-8"))
SCHEMAS = Schemas(ROOT / "schemas")
ENGINES = ("vllm", "sglang", "trtllm", "nim")


@pytest.fixture
def workflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workflow:
    monkeypatch.chdir(tmp_path)
    return make_workflow(tmp_path)


def _load(workflow: Workflow, environ: Mapping[str, str] | None = None, **keys: Any) -> Config:
    text = {"deployment": keys, "evaluation": {"tasks": ["colours"]}, "execution": {"container_runtime": "podman"}}
    return workflow.load(yaml.safe_dump(text), environ=environ)


def _deployment(workflow: Workflow, **keys: Any) -> Deployment:
    return _load(workflow, **{"type": "vllm", "checkpoint_path": "models/tiny", **keys}).deployments[0]


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_message(workflow: Workflow, case: Mapping[str, Any]) -> None:
    with pytest.raises(ConfigError) as raised:
        workflow.load(case["config"], overrides={"execution": {"container_runtime": "podman"}})
    assert str(raised.value) == case["message"].rstrip("\n")


@pytest.mark.parametrize("type", ["vllm", "sglang", "trtllm"])
def test_served_model_name_is_that_of_the_weights(workflow: Workflow, type: str) -> None:
    folder = _deployment(workflow, type=type, checkpoint_path="models/Llama-3.1-8B")
    assert (folder.served_model_name, folder.name) == ("Llama-3.1-8B", "Llama-3.1-8B")
    hub = _deployment(workflow, type=type, checkpoint_path=None, hf_model_handle="org/Tiny-1.5", revision="0123abc")
    assert (hub.served_model_name, hub.name) == ("org/Tiny-1.5", "org-Tiny-1.5")
    assert _deployment(workflow, type=type, served_model_name="mine").served_model_name == "mine"


def test_extra_args_are_a_list_or_a_text(workflow: Workflow) -> None:
    words = ["--hf-overrides", '{"a": 1}', "--seed", "1"]
    text = _deployment(workflow, extra_args="""--hf-overrides '{"a": 1}' --seed 1""")
    listed = _deployment(workflow, extra_args=words)
    assert text.options["extra_args"] == listed.options["extra_args"] == words
    assert text.fingerprint == listed.fingerprint
    assert _deployment(workflow, extra_args="").options["extra_args"] == []


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ({"image": "a:1"}, {"image": "a:2"}),
        ({"max_model_len": 1024}, {"max_model_len": 2048}),
        ({"dtype": "float16"}, {"dtype": "bfloat16"}),
        ({"quantization": None}, {"quantization": "fp8"}),
        ({"tensor_parallel_size": 1}, {"tensor_parallel_size": 2}),
        ({"extra_args": "--seed 1"}, {"extra_args": "--seed 2"}),
        ({"pre_cmd": "export A=1"}, {"pre_cmd": "export A=2"}),
        ({"trust_remote_code": False}, {"trust_remote_code": True}),
        ({"runtime": "container"}, {"runtime": "host"}),
    ],
)
def test_what_changes_a_score_is_in_the_fingerprint(
    workflow: Workflow, one: dict[str, Any], two: dict[str, Any]
) -> None:
    assert _deployment(workflow, **one).fingerprint != _deployment(workflow, **two).fingerprint


@pytest.mark.parametrize(
    "change",
    [
        {"gpu_memory_utilization": 0.5},
        {"data_parallel_size": 2},
        {"pipeline_parallel_size": 2},
        {"distributed_executor_backend": "mp"},
        {"port": 9000},
        {"environment": "vllm-cpu"},
    ],
)
def test_what_changes_no_score_is_not(workflow: Workflow, change: dict[str, Any]) -> None:
    assert _deployment(workflow).fingerprint == _deployment(workflow, **change).fingerprint


def test_an_image_that_is_not_used_changes_no_score(workflow: Workflow) -> None:
    first = _deployment(workflow, runtime="host", image="a:1")
    assert first.fingerprint == _deployment(workflow, runtime="host", image="a:2").fingerprint


def test_the_environments_versions_count_where_it_is_used(workflow: Workflow) -> None:
    keys: dict[str, Any] = {"type": "vllm", "checkpoint_path": "m", "runtime": "environment", "environment": "vllm-cpu"}
    before = {}
    for version in ("1.0", "2.0"):
        workflow.write("checkout/envs/vllm-cpu.in", f"vllm-cpu=={version}\n")
        workflow.write("checkout/envs/vllm-cpu.lock", f"vllm-cpu=={version} \\\n    --hash=sha256:0\n")
        before[version] = _load(workflow, **keys).deployments[0].fingerprint
    assert before["1.0"] != before["2.0"]


def test_a_nim_learns_generation_and_key(workflow: Workflow) -> None:
    nim: dict[str, Any] = {"type": "nim", "served_model_name": "m"}
    config = _load(workflow, environ={"NGC_API_KEY": "x", "OTHER": "y"}, **nim, image="nvcr.io/nim/meta/llama:1.8.4")
    (found,) = config.deployments
    assert (found.options["generation"], found.env_vars) == (1, {"NGC_API_KEY": "host:NGC_API_KEY"})
    config = _load(workflow, environ={"OTHER": "y"}, **nim, image="a:2.1.6", ngc_api_key_name="OTHER")
    (found,) = config.deployments
    assert (found.options["generation"], found.env_vars) == (2, {"NGC_API_KEY": "host:OTHER"})
    config = _load(workflow, environ={"OTHER": "y"}, **nim, image="a:2.1.6", env_vars={"NGC_API_KEY": "host:OTHER"})
    assert config.deployments[0].env_vars == {"NGC_API_KEY": "host:OTHER"}
    config = _load(workflow, **nim, image="a@sha256:" + "0" * 64, generation=2, ngc_api_key_name=None)
    assert (config.deployments[0].options["generation"], config.deployments[0].env_vars) == (2, {})


def test_a_command_of_the_users_own_needs_no_weights(workflow: Workflow) -> None:
    found = _deployment(workflow, checkpoint_path=None, served_model_name="m", command="my-vllm")
    assert found.options["command"] == "my-vllm"


def test_files_of_the_nemo_evaluator_launcher_are_understood(workflow: Workflow) -> None:
    found = _deployment(
        workflow,
        image="vllm/vllm-openai:v0.11.0",
        checkpoint_path="/models/m",
        served_model_name="m",
        port=8000,
        tensor_parallel_size=8,
        pipeline_parallel_size=1,
        data_parallel_size=1,
        gpu_memory_utilization=0.95,
        extra_args="--max-model-len 4096",
        env_vars={"HF_HOME": "lit:/cache"},
        pre_cmd="echo hello",
        hf_model_handle=None,
        command=None,
    )
    assert found.options["extra_args"] == ["--max-model-len", "4096"]


@pytest.mark.parametrize("type", ENGINES)
def test_default_images_have_a_version(type: str) -> None:
    image = SCHEMAS.effective("deployment", type).properties["image"]
    default = image.default if image.has_default else "by:1"
    assert image_major(default) is not None


@pytest.mark.parametrize(
    ("image", "major"),
    [("a:1.8.4", 1), ("a:v2", 2), ("h:5000/a:2.1-x", 2), ("a", None), ("a:latest", None), ("a:1@sha256:0", 1)],
)
def test_major_version_of_an_image(image: str, major: int | None) -> None:
    assert image_major(image) == major


def test_words_that_have_a_key_are_found_in_every_spelling() -> None:
    reserved = {"--api-key": "nothing", "-tp": "size"}
    words = ["--API_KEY=x", "--api-key", "-tp", "x", "--other", "-tp=2", "--api-keys"]
    assert [option for option, _ in reserved_words(words, reserved)] == ["--API_KEY", "--api-key", "-tp", "-tp"]


def test_names_of_weights() -> None:
    assert weights_name("/models/Llama-3.1-8B/") == "Llama-3.1-8B"
    assert weights_name("package:llm_tiny/tiny.Q4.gguf") == "tiny.Q4"
    assert wrong_extra_args("a 'b c'") is None


@pytest.mark.parametrize("type", ENGINES)
def test_every_engine_has_a_group_file(workflow: Workflow, type: str) -> None:
    needed = "image: 'a:1.0', served_model_name: m, ngc_api_key_name: null" if type == "nim" else "checkpoint_path: m"
    text = f"defaults: [{{deployment: {type}}}]\ndeployment: {{{needed}}}\nevaluation: {{tasks: [colours]}}\n"
    text += "execution: {container_runtime: podman}\n"
    assert workflow.load(text).deployments[0].type == type


def test_vllm_by_ray_is_a_group_file_too(workflow: Workflow) -> None:
    text = (
        "defaults: [{execution: slurm}, {deployment: vllm_ray}]\nexecution: {num_nodes: 2, container_runtime: pyxis}\n"
    )
    config = workflow.load(text + "deployment: {checkpoint_path: m}\nevaluation: {tasks: [colours]}\n")
    assert config.deployments[0].options["distributed_executor_backend"] == "ray"
