"""NVIDIA's harnesses through the workflow on a real model: the same numbers and answers as by hand."""

import gzip
import json
import sqlite3
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from datasets_like import write_gsm8k, write_mmlu_pro
from nemo_by_hand import run_by_hand, scores, scores_of_result
from snakeval.system.ports import free_port
from workspace import CHECKPOINT, REPOSITORY, Workspace, eventually

SERVER = REPOSITORY / "scripts" / "snakeval" / "deployments" / "programs" / "llamacpp.py"
# BFCL has no setting for the length of answers; the adapter has.
SHORT = {"params_to_add": {"max_tokens": 24}}
TASKS: dict[str, tuple[str, dict[str, Any]]] = {
    "bfcl.bfclv3_ast_prompting": ("nvidia-bfcl", {"limit": 2, "adapter_config": SHORT}),
    "simple_evals.mmlu_pro": ("nvidia-simple-evals", {"limit": 3, "max_new_tokens": 16, "temperature": 0.0}),
    "lm-evaluation-harness.gsm8k_cot_instruct": (
        "nvidia-lm-eval",
        {"limit": 2, "max_new_tokens": 16, "temperature": 0.0},
    ),
}


@pytest.fixture
def server(llamacpp_python: Path) -> Iterator[str]:
    """The base URL of a server as the workflow would start it."""
    port = free_port("127.0.0.1")
    command = [str(llamacpp_python), str(SERVER), "--checkpoint", CHECKPOINT, "--served-model-name", "smol"]
    command += ["--host", "127.0.0.1", "--port", str(port), "--max-model-len", "4096", "--max-num-seqs", "1"]
    process = subprocess.Popen(
        [*command, "--no-cache-prompt", "--threads", "1"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        eventually(lambda: _answers(f"http://127.0.0.1:{port}/health"))
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        process.kill()
        process.wait()


def _answers(url: str) -> bool:
    try:
        return requests.get(url, timeout=5).status_code == 200
    except requests.RequestException:
        return False


def _by_hand(task: str, folder: Path, url: str) -> Path:
    environment, settings = TASKS[task]
    names = {"limit": "limit_samples"}
    told = {f"config.params.{names.get(k, k)}": v for k, v in settings.items() if k != "adapter_config"}
    told["config.params.parallelism"] = 1
    if "adapter_config" in settings:
        told["target.api_endpoint.adapter_config.params_to_add.max_tokens"] = 24
    return run_by_hand(task, environment, told, url, folder)


def _texts(output: Path) -> list[str]:
    """Return the answers that the harness keeps."""
    if databases := list(output.glob("*/cache/cache.sqlite/cache.db")):
        rows = sqlite3.connect(databases[0]).execute("SELECT value FROM Cache").fetchall()
        return sorted(json.loads(value)["convo"][-1]["content"] for (value,) in rows)
    (file,) = [*output.glob("*/samples_*.jsonl"), *output.glob("result/*/*_result.json")]
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    return sorted({one.get("doc_id", one.get("id")): _text(one) for one in lines}.values())


def _text(line: dict[str, Any]) -> str:
    return str(line["resps"][0][0] if "resps" in line else line["result"])


def test_numbers_and_answers_are_those_of_the_harness_called_by_hand(workspace: Workspace, server: str) -> None:
    # BFCL brings its data.
    write_mmlu_pro(workspace.folder / "data" / "TIGER-Lab" / "MMLU-Pro")
    write_gsm8k(workspace.folder / "data" / "gsm8k")
    workspace.configure(
        {
            "deployment": {
                "type": "llamacpp",
                "name": "smol",
                "checkpoint_path": CHECKPOINT,
                "served_model_name": "smol",
                "max_model_len": 4096,
                "max_num_seqs": 1,
                "cache_prompt": False,
                "threads": 1,
            },
            "evaluation": {
                "data_dir": "data",
                "env_vars": {"HF_HUB_OFFLINE": "lit:1"},
                "parallelism": 1,
                "tasks": [{"name": name, **TASKS[name][1]} for name in TASKS],
            },
        }
    )
    done = workspace.run(cores=2)
    assert done.returncode == 0, done.output
    for task in TASKS:
        result = workspace.result("smol", task)
        limit = TASKS[task][1]["limit"]
        assert result["samples"] == {"asked": limit, "answered": limit, "failed": 0}
        assert (result["protocol"], result["requests"]["sent"]) == ("chat", limit)
        assert result["tokens"]["completion"] > limit
        assert result["versions"]["nemo-evaluator"] == "0.2.8"
        output = _by_hand(task, workspace.folder, server)
        assert scores_of_result(result) == scores(output), task
        assert all(metric["n"] == limit for metric in result["metrics"])
        with gzip.open(workspace.results / "smol" / task / "samples.jsonl.gz", "rt") as lines:
            answers = sorted(str(json.loads(line)["answer"]) for line in lines)
        assert answers == _texts(output), task
        assert len(set(answers)) > 1
