"""Real engines that cannot start: the error comes when the process ends, in the engine's words, with what to do."""

import json
import socket
import struct
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from builders import make_config, make_deployment
from engine_bench import SGLANG_ON_CPUS, built_or_skip, served_by_vllm, vllm_checkpoint
from snakeval.backends.local import LocalBackend
from snakeval.config.model import Deployment
from snakeval.endpoint import Protocol
from snakeval.errors import DeploymentError
from snakeval.run.paths import RunPaths
from snakeval.serving.servers import ensure_server
from snakeval.system.files import read_json
from snakeval.system.processes import Mark, processes_of
from workspace import CHECKPOINT

# Longer than a test may take: an error that comes has not waited for it.
NEVER_S = 3600
UNKNOWN = "this version of the engine does not know the architecture of the model"
NO_SUCH_ID = "the engine took the model for an id of the Hugging Face hub"
TAKEN = "another program has taken the port"
TOO_SMALL = "the machine's memory is too small"


def _failure(folder: Path, deployment: Deployment) -> str:
    """Return what the user reads of a server that does not start; no process of it is left."""
    base = make_config(folder, [deployment])
    config = replace(base, execution=replace(base.execution, readiness_timeout_s=NEVER_S))
    backend = LocalBackend(config)
    try:
        with pytest.raises(
            DeploymentError, match=r"the server of tiny did not start: the server (ended|was)"
        ) as raised:
            ensure_server(config, deployment, Protocol.CHAT, 1, lambda _: None)
    finally:
        backend.stop("tiny")
    files = RunPaths(folder / "demo").server("tiny")
    record = read_json(files.state) or {}
    assert processes_of(Mark.of(files.folder, record["server_id"])) == []
    return str(raised.value)


@pytest.fixture
def taken() -> Iterator[int]:
    """A port that is bound and does not listen: nobody notices before the engine does."""
    with socket.socket() as stranger:
        stranger.bind(("127.0.0.1", 0))
        yield stranger.getsockname()[1]


def _gguf(path: Path, architecture: str) -> Path:
    """Write a GGUF file that names an architecture and holds nothing else."""
    key, value = b"general.architecture", architecture.encode()
    entry = struct.pack("<Q", len(key)) + key + struct.pack("<IQ", 8, len(value)) + value
    path.write_bytes(b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + entry)
    return path


def _of_unknown_architecture(folder: Path) -> Path:
    """Return a copy of the checkpoint whose config.json names what no engine knows."""
    source = vllm_checkpoint()
    folder.mkdir()
    for file in source.iterdir():
        (folder / file.name).symlink_to(file)
    config = json.loads((source / "config.json").read_text(encoding="utf-8"))
    (folder / "config.json").unlink()
    (folder / "config.json").write_text(json.dumps({**config, "architectures": ["UnheardOfForCausalLM"]}))
    return folder


def _llamacpp(path: str | Path, **keys: Any) -> Deployment:
    return make_deployment(type="llamacpp", checkpoint_path=str(path), **keys)


def _vllm(checkpoint: Path, **keys: Any) -> Deployment:
    options = served_by_vllm(checkpoint, **keys)
    options["extra_args"] = options["extra_args"].split()
    return make_deployment(**{**options, "name": "tiny"})


def _sglang(checkpoint: Path) -> Deployment:
    built_or_skip("sglang-cpu")
    return make_deployment(
        type="sglang",
        runtime="environment",
        checkpoint_path=str(checkpoint),
        extra_args=SGLANG_ON_CPUS.split(),
        env_vars={"HF_HUB_OFFLINE": "lit:1"},
    )


Make = Callable[[Path], Deployment]


@pytest.mark.parametrize(
    ("make", "words", "hint"),
    [
        (lambda folder: _llamacpp(folder / "none.gguf"), "none.gguf does not exist", ""),
        (lambda folder: _llamacpp(_gguf(folder / "a.gguf", "unheard-of")), "architecture: 'unheard-of'", UNKNOWN),
        (lambda folder: _llamacpp(__file__), "invalid magic characters", "checkpoint_path is no GGUF file"),
    ],
    ids=["no file", "unknown architecture", "no model"],
)
def test_a_model_that_llamacpp_cannot_serve(
    make: Make, words: str, hint: str, tmp_path: Path, llamacpp_python: Path
) -> None:
    message = _failure(tmp_path, make(tmp_path))
    assert words in message
    assert hint in message


def test_a_port_that_is_taken_from_llamacpp(tmp_path: Path, taken: int, llamacpp_python: Path) -> None:
    message = _failure(tmp_path, _llamacpp(CHECKPOINT, port=taken))
    assert f"couldn't bind HTTP server socket, hostname: 127.0.0.1, port: {taken}" in message
    assert TAKEN in message


def test_too_little_memory_for_llamacpp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, llamacpp_python: Path) -> None:
    """The limit holds for the server alone: what bash starts reads it, and nothing else here."""
    limits = tmp_path / "limits.sh"
    limits.write_text("ulimit -v 3000000\n", encoding="utf-8")
    monkeypatch.setenv("BASH_ENV", str(limits))
    message = _failure(tmp_path, _llamacpp(CHECKPOINT, max_model_len=1_000_000))
    assert "allocate" in message
    assert TOO_SMALL in message


@pytest.mark.parametrize(
    ("make", "words", "hint"),
    [
        (lambda _: _vllm(Path("/models/none")), "Repo id must be in the form", NO_SUCH_ID),
        (
            lambda folder: _vllm(_of_unknown_architecture(folder / "checkpoint")),
            "Model architectures ['UnheardOfForCausalLM'] are not supported",
            UNKNOWN,
        ),
        (lambda _: _vllm(vllm_checkpoint(), max_model_len=99_999), "max_model_len", ""),
        (
            lambda _: _vllm(vllm_checkpoint(), env_vars={"VLLM_CPU_KVCACHE_SPACE": "lit:9000"}),
            "is less than requested memory for kv (9000.0 GiB)",
            TOO_SMALL,
        ),
    ],
    ids=["no folder", "unknown architecture", "too long", "too little memory"],
)
def test_what_vllm_cannot_serve(make: Make, words: str, hint: str, tmp_path: Path) -> None:
    """Memory is what its engine's process finds, whose words stand far above the last lines of the log."""
    built_or_skip("vllm-cpu")
    message = _failure(tmp_path, make(tmp_path))
    assert words in message
    assert hint in message


def test_a_port_that_is_taken_from_vllm(tmp_path: Path, taken: int) -> None:
    message = _failure(tmp_path, _vllm(vllm_checkpoint(), port=taken))
    assert "Address already in use" in message
    assert TAKEN in message


@pytest.mark.parametrize(
    ("make", "words", "hint"),
    [
        (lambda _: _sglang(Path("/models/none")), "Repo id must be in the form", NO_SUCH_ID),
        (
            lambda folder: _sglang(_of_unknown_architecture(folder / "checkpoint")),
            "Cannot find model module. 'UnheardOfForCausalLM'",
            UNKNOWN,
        ),
    ],
    ids=["no folder", "unknown architecture"],
)
def test_what_sglang_cannot_serve(make: Make, words: str, hint: str, tmp_path: Path) -> None:
    message = _failure(tmp_path, make(tmp_path))
    assert words in message
    assert hint in message
    assert TOO_SMALL not in message, "it kills its own processes"
