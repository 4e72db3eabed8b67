"""What is checked of a deployment before anything is started, and what is known of its type."""

import json
import os
import socket
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from builders import make_deployment, make_execution
from snakeval.config.model import Deployment, Execution
from snakeval.deployments.preflight import check_deployment
from snakeval.deployments.types import DeploymentType, checks_api_key, deployment_type, environment_lock, startup_hint
from snakeval.errors import DeploymentError
from snakeval.run.paths import RunPaths
from snakeval.run.server import ServerRecord, ServerState
from snakeval.system.checkout import ENVS
from snakeval.system.processes import start_time


def _findings(deployment: Deployment, execution: Execution | None = None) -> list[str]:
    """Return the first line of every finding."""
    try:
        check_deployment(deployment, execution or make_execution())
    except DeploymentError as error:
        return [line.removeprefix("error: ") for line in str(error).splitlines() if line.startswith("error: ")]
    return []


def _on_slurm(**options: Any) -> Execution:
    return make_execution(type="slurm", **options)


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """A checkpoint with 32 attention heads."""
    (tmp_path / "config.json").write_text(json.dumps({"num_attention_heads": 32}), encoding="utf-8")
    return tmp_path


def test_a_checkpoint_has_to_be_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    deployment = make_deployment(type="llamacpp", checkpoint_path="models/tiny.gguf")
    with pytest.raises(DeploymentError) as raised:
        check_deployment(deployment, make_execution())
    assert str(raised.value) == (
        "error: deployment tiny: checkpoint_path does not exist\n"
        "  got:      models/tiny.gguf\n"
        "  expected: a path on this machine, or package:PACKAGE/FILE\n"
        "  hint:     relative paths begin at the directory in which snakemake runs"
    )
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "tiny.gguf").touch()
    assert _findings(deployment) == []


@pytest.mark.parametrize("type", ["vllm", "sglang", "trtllm", "nim"])
def test_a_checkpoint_of_an_engine_is_a_folder_with_a_config(type: str, tmp_path: Path) -> None:
    file = tmp_path / "tiny.gguf"
    file.touch()
    for path in (tmp_path, file):
        found = _findings(make_deployment(type=type, checkpoint_path=str(path)))
        assert found == ["deployment tiny: checkpoint_path is no checkpoint"]
    (tmp_path / "config.json").write_text("{}", encoding="utf-8")
    assert _findings(make_deployment(type=type, checkpoint_path=str(tmp_path))) == []


def test_a_hub_id_in_the_wrong_place_is_recognised() -> None:
    deployment = make_deployment(type="vllm", checkpoint_path="org/Model-1.5")
    with pytest.raises(DeploymentError, match="an id of the Hugging Face hub belongs in hf_model_handle"):
        check_deployment(deployment, make_execution())


def test_what_only_the_server_can_find_is_left_to_it() -> None:
    assert _findings(make_deployment(type="llamacpp", checkpoint_path="package:llm_tiny/tiny.gguf")) == []
    assert _findings(make_deployment(type="generic")) == []
    assert _findings(make_deployment(type="none")) == []
    assert _findings(make_deployment(type="vllm", checkpoint_path=None, hf_model_handle="org/model")) == []


@pytest.mark.parametrize(
    ("sizes", "options", "what"),
    [
        ({"tensor_parallel_size": 8}, {"gres": "gpu:8"}, None),
        ({"tensor_parallel_size": 8}, {"gres": "gpu:a100:4"}, "needs more GPUs than there are"),
        ({"tensor_parallel_size": 8}, {"gres": "gpu:a100:4", "num_nodes": 2}, None),
        ({"tensor_parallel_size": 4, "pipeline_parallel_size": 2}, {"gpus_per_node": 4}, "needs more"),
        ({"tensor_parallel_size": 4, "data_parallel_size": 2}, {"gpus_per_node": 8}, None),
        ({"tensor_parallel_size": 2}, {"gpus_per_node": 8, "num_nodes": 3}, "does not divide among the nodes"),
        ({"tensor_parallel_size": 2}, {"gres": "license:4,gpu:h100:1"}, "needs more"),
        ({"tensor_parallel_size": 8}, {"gres": "license:1"}, None),
        ({"tensor_parallel_size": 8}, {"gpus_per_node": 0}, None),
        ({"tensor_parallel_size": 8}, {"gres": None, "gpus_per_node": None}, None),
        ({"tensor_parallel_size": 8}, {}, None),
    ],
)
def test_parallel_sizes_fit_the_gpus(
    sizes: dict[str, Any], options: dict[str, Any], what: str | None, checkpoint: Path
) -> None:
    deployment = make_deployment(type="vllm", checkpoint_path=str(checkpoint), **sizes)
    found = _findings(deployment, _on_slurm(**options))
    assert len(found) == (what is not None)
    assert what is None or what in found[0]


@pytest.mark.parametrize("config", [{"num_attention_heads": 9}, {"text_config": {"num_attention_heads": 9}}])
def test_tensor_parallel_size_divides_the_attention_heads(config: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(config), encoding="utf-8")
    found = _findings(make_deployment(type="sglang", checkpoint_path=str(tmp_path), tensor_parallel_size=2))
    assert found == ["deployment tiny: tensor_parallel_size does not divide the 9 attention heads of the model"]
    assert _findings(make_deployment(type="sglang", checkpoint_path=str(tmp_path), tensor_parallel_size=3)) == []


@pytest.mark.parametrize("text", ["no json", "[]", "{}", '{"num_attention_heads": "many"}'])
def test_a_config_that_names_no_heads_says_nothing(text: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(text, encoding="utf-8")
    assert _findings(make_deployment(type="vllm", checkpoint_path=str(tmp_path), tensor_parallel_size=7)) == []


def test_a_strangers_port_is_told_and_our_own_is_not(tmp_path: Path) -> None:
    with socket.socket() as stranger:
        stranger.bind(("127.0.0.1", 0))
        stranger.listen()
        port = stranger.getsockname()[1]
        deployment = make_deployment(port=port)
        here = make_execution(tmp_path)
        assert _findings(deployment, here) == ["deployment tiny: port is taken by another server of this machine"]
        assert _findings(deployment, _on_slurm()) == []
        state = RunPaths(tmp_path / "demo").server("tiny").state
        record = ServerRecord(ServerState.READY, "0123456789abcdef", port=port, supervisor_pid=os.getpid())
        replace(record, supervisor_start=start_time(os.getpid())).write(state)
        assert _findings(deployment, here) == []
        replace(record, supervisor_start=1.0).write(state)
        assert len(_findings(deployment, here)) == 1
    assert _findings(deployment, here) == []


def test_all_findings_come_at_once(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"num_attention_heads": 9}', encoding="utf-8")
    deployment = make_deployment(type="vllm", checkpoint_path=str(tmp_path), tensor_parallel_size=8)
    assert len(_findings(deployment, _on_slurm(gres="gpu:4"))) == 2


def test_facts_of_types_come_from_their_schemas() -> None:
    assert deployment_type("llamacpp") == DeploymentType("llamacpp", "/health", "/v1", True, True)
    assert deployment_type("generic") == DeploymentType("generic", None, "/v1", False, True)
    assert deployment_type("vllm") == DeploymentType("vllm", "/health", "/v1", True, True)
    assert deployment_type("nim") == DeploymentType("nim", "/v1/health/ready", "/v1", False, True)
    assert not deployment_type("none").has_server
    with pytest.raises(FileNotFoundError):
        deployment_type("unknown")


def test_lock_of_the_environment_of_a_server() -> None:
    assert environment_lock(make_deployment(type="llamacpp")) == ENVS / "llamacpp.lock"
    assert environment_lock(make_deployment(type="generic")) is None
    vllm: dict[str, Any] = {"type": "vllm", "environment": "vllm-cpu"}
    assert environment_lock(make_deployment(**vllm, runtime="environment")) == ENVS / "vllm-cpu.lock"
    assert environment_lock(make_deployment(**vllm, runtime="container")) is None
    assert environment_lock(make_deployment(**vllm, runtime="host")) is None


def test_a_command_of_the_users_own_promises_no_key_check() -> None:
    assert checks_api_key(make_deployment(type="vllm"))
    assert not checks_api_key(make_deployment(type="vllm", command="my-vllm"))
    assert not checks_api_key(make_deployment(type="nim"))
    assert checks_api_key(make_deployment(type="generic", checks_api_key=True))


def test_what_an_engine_says_in_its_last_lines_is_explained() -> None:
    for type in ("vllm", "sglang"):
        hint = startup_hint(make_deployment(type=type), "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate")
        assert hint is not None
        assert "lower max_model_len" in hint


def test_a_refused_image_of_a_nim_is_explained() -> None:
    log = "Error: initializing source docker://nvcr.io/nim/meta/x:1.0: unauthorized: authentication required"
    hint = startup_hint(make_deployment(type="nim"), log)
    assert hint is not None
    assert "$oauthtoken" in hint
    assert "licence" in hint
    assert startup_hint(make_deployment(type="nim"), "all is well") is None
    assert startup_hint(make_deployment(type="trtllm"), log) is None


def test_mounts_images_and_runtimes_have_to_be_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    mounts = {"deployment": {str(tmp_path / "none"): "/a", str(tmp_path): "/b:ro"}, "mount_home": False}
    options: dict[str, Any] = {"container_runtime": "apptainer", "container_args": [], "mounts": mounts}
    deployment = make_deployment(runtime="container", image=str(tmp_path / "a.sif"))
    with pytest.raises(DeploymentError) as raised:
        check_deployment(deployment, make_execution(**options))
    assert [line for line in str(raised.value).splitlines() if line.startswith("error")] == [
        "error: deployment tiny: execution.mounts.deployment names what does not exist",
        "error: deployment tiny: image does not exist",
        "error: deployment tiny: execution.container_runtime is not installed",
    ]
    (tmp_path / "none").touch()
    (tmp_path / "a.sif").touch()
    # The machine that runs the server has the runtime, or says that it has not.
    check_deployment(deployment, make_execution(type="slurm", **options))


def test_a_folder_to_write_to_has_to_be_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "podman").touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    mounts = {"deployment": {}, "mount_home": False}
    execution = make_execution(container_runtime="podman", container_args=[], mounts=mounts)
    nim = make_deployment(type="nim", cache_path=str(tmp_path / "cache"))
    with pytest.raises(DeploymentError, match="cache_path names what does not exist"):
        check_deployment(nim, execution)
    (tmp_path / "cache").mkdir()
    check_deployment(nim, execution)
