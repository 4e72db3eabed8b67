"""NIM of generation 2 and TensorRT-LLM in containers of podman: images with their entry points, a stand-in as engine.

What the stand-ins take, and where that is documented: tests/fakes/engine_images.py.
"""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml
from containers import FAKES, MOUNTS, PYTHON, Podman
from snakeval.backends.local import LocalBackend
from snakeval.config import Config, load_config
from snakeval.endpoint import Endpoint, Protocol
from snakeval.errors import DeploymentError
from snakeval.run.paths import RunPaths
from snakeval.serving.servers import ensure_server
from snakeval.system.files import read_json
from workspace import REPOSITORY

NIM, TRTLLM = "localhost/snakeval-nim:2.1.6", "localhost/snakeval-trtllm:1.2.1"
NOT_STARTED = "the server of tiny did not start: the server ended with status"
KEY = "planted-ngc-key-0816"
STAND_INS = {"STAND_IN_PYTHON": f"lit:{PYTHON}", "STAND_IN_FAKES": f"lit:{FAKES}"}


class Bench:
    """One configuration, whose server is started as rule ready does."""

    def __init__(self, folder: Path, deployment: dict[str, Any]) -> None:
        mounts = {"deployment": {**MOUNTS, str(folder): str(folder)}, "mount_home": False}
        variables = {**STAND_INS, **deployment.pop("env_vars", {})}
        config = {
            "run": "demo",
            "execution": {"type": "local", "output_dir": str(folder), "container_runtime": "podman", "mounts": mounts},
            "deployment": {"name": "tiny", "env_vars": variables, **deployment},
            "evaluation": {"tasks": ["capitals"]},
        }
        (folder / "demo.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
        self.config: Config = load_config([folder / "demo.yaml"], {}, REPOSITORY, {"NGC_API_KEY": KEY})
        self.backend = LocalBackend(self.config)
        self.files = RunPaths(folder / "demo").server("tiny")

    def start(self) -> Endpoint:
        """Return the endpoint, which has answered; on failure raises what the user reads."""
        return ensure_server(self.config, self.config.deployments[0], Protocol.CHAT, 1, lambda _: None)[1]


@pytest.fixture
def bench(podman: Podman, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Bench]]:
    monkeypatch.setenv("NGC_API_KEY", KEY)
    benches: list[Bench] = []

    def make(**deployment: Any) -> Bench:
        benches.append(Bench(tmp_path, deployment))
        return benches[-1]

    yield make
    for one in benches:
        one.backend.stop("tiny")


@pytest.fixture(scope="module")
def nim(podman_storage: Podman) -> str:
    podman_storage.build(NIM, {"opt/nim/bin/nim-serve": FAKES / "nim2_image" / "nim-serve"}, path="/opt/nim/bin")
    return NIM


@pytest.fixture(scope="module")
def trtllm(podman_storage: Podman) -> str:
    programs = {f"opt/bin/{name}": FAKES / "trtllm_image" / name for name in ("mpirun", "trtllm-serve")}
    podman_storage.build(TRTLLM, programs, path="/opt/bin")
    return TRTLLM


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    folder = tmp_path / "models" / "tiny-1b"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}", encoding="utf-8")
    return folder


def _served(endpoint: Endpoint) -> list[str]:
    body = requests.get(f"{endpoint.base_url}/models", timeout=10).json()
    return [entry["id"] for entry in body["data"]]


def test_a_nim_of_generation_2_is_told_all_by_its_environment(
    bench: Callable[..., Bench], nim: str, podman: Podman, checkpoint: Path, tmp_path: Path
) -> None:
    """It listens long before it is ready, and its proxy hides what the engine has beside the API."""
    (tmp_path / "cache").mkdir()
    one = bench(
        type="nim",
        image=nim,
        served_model_name="meta/tiny",
        checkpoint_path=str(checkpoint),
        cache_path=str(tmp_path / "cache"),
        model_profile="tp1-bf16",
        tensor_parallel_size=1,
        max_model_len=4096,
        extra_args="--enable-prefix-caching --max-model-len 2048",
    )
    assert one.config.deployments[0].options["generation"] == 2
    endpoint = one.start()
    assert _served(endpoint) == ["meta/tiny"]
    assert requests.get(endpoint.base_url.replace("/v1", "/health"), timeout=10).status_code == 404
    assert json.loads((tmp_path / "cache" / "told.json").read_text()) == {
        "served_model_name": "meta/tiny",
        "max_model_len": 2048,
        "tensor_parallel_size": 1,
        "enable_prefix_caching": True,
        "source": str(checkpoint),
        "profile": "tp1-bf16",
    }
    for file in (one.files.launch_script, one.files.log, one.files.state):
        assert KEY not in file.read_text()
    one.backend.stop("tiny")
    assert podman.containers() == []


def test_a_nim_of_generation_2_takes_its_model_from_the_hub(
    bench: Callable[..., Bench], nim: str, tmp_path: Path
) -> None:
    (tmp_path / "cache").mkdir()
    keys = {"hf_model_handle": "org/tiny", "ngc_api_key_name": None, "cache_path": str(tmp_path / "cache")}
    one = bench(type="nim", image=nim, served_model_name="tiny", **keys)
    assert _served(one.start()) == ["tiny"]
    assert (read_json(tmp_path / "cache" / "told.json") or {})["source"] == "hf://org/tiny"


@pytest.mark.parametrize(
    ("keys", "words", "hint"),
    [
        ({"ngc_api_key_name": None}, "NGC_API_KEY is not set", "deployment.ngc_api_key_name names the variable"),
        ({"extra_args": "--no-such-flag"}, "vllm serve: error: unrecognized arguments: --no-such-flag", ""),
        ({"generation": 1}, "/opt/nvidia/nvidia_entrypoint.sh: not found", ""),
    ],
)
def test_a_nim_that_does_not_start_says_why(
    bench: Callable[..., Bench], nim: str, keys: dict[str, Any], words: str, hint: str
) -> None:
    """The last one is an image of generation 2 that is taken for one of generation 1."""
    one = bench(type="nim", image=nim, served_model_name="meta/tiny", **keys)
    with pytest.raises(
        DeploymentError, match="the server of tiny did not start: the server ended with status"
    ) as raised:
        one.start()
    assert words in str(raised.value)
    assert hint in str(raised.value)


def test_a_nim_that_cannot_be_pulled_needs_a_login_or_its_licence(bench: Callable[..., Bench]) -> None:
    """Podman's words depend on whether the registry is reached."""
    one = bench(type="nim", image="nvcr.io/nim/meta/absent:2.1.6", served_model_name="meta/absent")
    with pytest.raises(DeploymentError, match=NOT_STARTED) as raised:
        one.start()
    message = str(raised.value)
    assert "nvcr.io/nim/meta/absent" in message.partition("hint: ")[0]
    assert "hint: images of nvcr.io are pulled with an NGC API key, once their licence is accepted" in message


def test_trtllm_serves_a_checkpoint_under_the_name_of_its_folder(
    bench: Callable[..., Bench], trtllm: str, podman: Podman, checkpoint: Path, tmp_path: Path
) -> None:
    told = tmp_path / "told.json"
    one = bench(
        type="trtllm",
        image=trtllm,
        checkpoint_path=str(checkpoint),
        max_model_len=4096,
        trust_remote_code=True,
        extra_args="--max_batch_size 8",
        env_vars={"STAND_IN_TOLD": f"lit:{told}"},
    )
    endpoint = one.start()
    assert _served(endpoint) == ["tiny-1b"]
    question = {"model": "another", "messages": [{"role": "user", "content": "[[answer:yes]]"}]}
    answered = requests.post(f"{endpoint.base_url}/chat/completions", json=question, timeout=10)
    assert answered.json()["choices"][0]["message"]["content"] == "yes"
    refused = requests.post(f"{endpoint.base_url}/chat/completions", json=question | {"nvext": {}}, timeout=10)
    assert refused.status_code == 400
    assert json.loads(told.read_text()) == {
        "model": str(checkpoint),
        "host": "127.0.0.1",
        "port": str(one.backend.state("tiny").port),
        "backend": "pytorch",
        "revision": None,
        "max_batch_size": "8",
        "max_seq_len": "4096",
        "tensor_parallel_size": 1,
        "pipeline_parallel_size": 1,
        "trust_remote_code": True,
    }
    one.backend.stop("tiny")
    assert podman.containers() == []


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"served_model_name": "another"}, "Error: No such option: --served_model_name"),
        ({"extra_args": "--max_batch 8"}, "Error: No such option: --max_batch"),
        ({}, "config.json is missing"),
    ],
)
def test_trtllm_that_does_not_start_says_why(
    bench: Callable[..., Bench], trtllm: str, checkpoint: Path, keys: dict[str, Any], words: str
) -> None:
    """The first one is why `served_model_name` is handed over only when it is another than the folder's."""
    if not keys:
        (checkpoint / "config.json").unlink()
    one = bench(type="trtllm", image=trtllm, checkpoint_path=str(checkpoint), **keys)
    with pytest.raises(
        DeploymentError, match="the server of tiny did not start: the server ended with status"
    ) as raised:
        one.start()
    assert words in str(raised.value)
    assert "mpirun detected that one or more processes exited" in str(raised.value)
