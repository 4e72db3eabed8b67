"""Configurations, deployments and tasks as tests need them: complete, and different only where a test says so."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from snakeval.config.model import Config, Deployment, Execution, Task
from snakeval.config.reading.tree import Node
from snakeval.endpoint import Protocol
from snakeval.harnesses.base import Metric, Outcome

ENGINE: Mapping[str, Any] = {
    "runtime": "container",
    "image": "registry.example/engine:1.0",
    "checkpoint_path": "/models/tiny",
    "hf_model_handle": None,
    "revision": None,
    "tensor_parallel_size": 1,
    "pipeline_parallel_size": 1,
    "max_model_len": None,
    "trust_remote_code": False,
    "extra_args": [],
    "pre_cmd": None,
    "command": None,
}
GPU: Mapping[str, Any] = {
    "data_parallel_size": 1,
    "gpu_memory_utilization": None,
    "dtype": "auto",
    "quantization": None,
}
OPTIONS: Mapping[str, Mapping[str, Any]] = {
    "vllm": {**ENGINE, **GPU, "environment": "vllm", "distributed_executor_backend": None},
    "sglang": {**ENGINE, **GPU, "environment": "sglang-cpu"},
    "trtllm": ENGINE,
    "nim": {
        "runtime": "container",
        "image": "nvcr.io/nim/meta/llama:2.1.6",
        "generation": 2,
        "checkpoint_path": None,
        "hf_model_handle": None,
        "model_profile": None,
        "tensor_parallel_size": None,
        "max_model_len": None,
        "cache_path": None,
        "ngc_api_key_name": "NGC_API_KEY",
        "extra_args": [],
        "pre_cmd": None,
        "command": None,
    },
    "generic": {
        "command": ["my-server"],
        "health_path": "/health",
        "base_path": "/v1",
        "protocols": ["chat", "completions"],
        "checks_api_key": False,
    },
    "llamacpp": {
        "checkpoint_path": "/models/tiny.gguf",
        "max_model_len": 2048,
        "max_num_seqs": 8,
        "cache_prompt": True,
        "threads": None,
        "chat_template": None,
    },
    "none": {"base_url": "http://127.0.0.1:9/v1", "api_key_name": None},
}


@dataclass(frozen=True)
class Job:
    """The wildcards of a job; those that its rule lacks are empty."""

    deployment: str = ""
    task: str = ""
    comparison: str = ""
    format: str = ""


def make_deployment(
    name: str = "tiny",
    type: str = "generic",
    served_model_name: str = "tiny-model",
    port: int | None = None,
    env_vars: Mapping[str, str] | None = None,
    **options: Any,
) -> Deployment:
    """Return a deployment; `options` replace those of its type."""
    chosen = {**OPTIONS[type], **options}
    return Deployment(name, type, served_model_name, port, env_vars or {}, Node(chosen), f"fingerprint-of-{name}")


def make_task(
    name: str = "sums",
    harness: str = "command",
    protocol: Protocol = Protocol.CHAT,
    limit: int | None = None,
    repeats: int = 1,
    env_vars: Mapping[str, str] | None = None,
    **settings: Any,
) -> Task:
    """Return a task with the given settings and no others."""
    return Task(
        name, harness, name, protocol, limit, repeats, Node(settings), env_vars or {}, None, f"fingerprint-of-{name}"
    )


def make_execution(
    output_dir: Path = Path("results"),
    max_deployments: int = 1,
    max_restarts: int = 2,
    type: str = "local",
    **options: Any,
) -> Execution:
    """Return an execution, on this machine unless told otherwise."""
    return Execution(
        type=type,
        output_dir=output_dir,
        idle_timeout_s=600,
        readiness_timeout_s=60,
        patience_s=60,
        max_restarts=max_restarts,
        max_deployments=max_deployments,
        options=Node(options),
    )


def make_config(
    output_dir: Path = Path("results"),
    deployments: Sequence[Deployment] = (),
    tasks: Sequence[Task] = (),
    run: str = "demo",
    max_deployments: int = 1,
) -> Config:
    """Return a run; without deployments or tasks it has one of each."""
    return Config(
        run=run,
        deployments=tuple(deployments) or (make_deployment(),),
        execution=make_execution(output_dir, max_deployments),
        tasks=tuple(tasks) or (make_task(),),
        data_dir=None,
        task_dirs=(),
        resolved=Node({"run": run}),
    )


def make_metric(name: str = "exact_match", value: float = 0.75, **changes: Any) -> Metric:
    """Return a metric of four samples."""
    plain: dict[str, Any] = {"filter": "none", "subtask": None, "stderr": 0.25, "n": 4, "higher_is_better": True}
    return Metric(name=name, value=value, **{**plain, **changes})


def make_outcome(*metrics: Metric, asked: int = 4, answered: int = 4, failed: int = 0) -> Outcome:
    """Return the outcome of a harness; without metrics it has one."""
    return Outcome(
        metrics=metrics or (make_metric(),),
        asked=asked,
        answered=answered,
        failed=failed,
        prompt_tokens=100,
        completion_tokens=20,
        requests_sent=4,
        requests_cached=0,
        requests_retried=1,
        versions={"harness": "1.2"},
    )
