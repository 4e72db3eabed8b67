"""The real vLLM on CPUs, deployed by the workflow: both kinds of tasks, the whole of its processes gone afterwards."""

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest
from datasets_like import write_truthful_qa
from engine_bench import define_choice, served_by_vllm, vllm_checkpoint
from nemo_by_hand import run_by_hand, scores, scores_of_result
from workspace import REPOSITORY, Workspace, eventually, has_ended, name_of

PROGRAM = str(REPOSITORY / "tests" / "fakes" / "command_task.py")
NVIDIA = "lm-evaluation-harness.adlr_truthfulqa_mc2"
NVIDIA_LIMIT = 2


@pytest.fixture(scope="module")
def checkpoint(_environments_of_the_repository: None) -> Path:
    return vllm_checkpoint()


def _nvidia_by_hand(workspace: Workspace, checkpoint: Path, key: str, folder: Path) -> Path:
    (folder / "data").symlink_to(workspace.folder / "data")
    state = json.loads((workspace.results / "smol" / "server" / "state.json").read_text())
    extra = {"tokenizer": checkpoint, "tokenizer_backend": "huggingface"}
    told: dict[str, Any] = {"config.params.limit_samples": NVIDIA_LIMIT, "config.params.parallelism": 1}
    told |= {f"config.params.extra.{name}": value for name, value in extra.items()}
    url = f"http://{state['host']}:{state['port']}/v1"
    return run_by_hand(NVIDIA, "nvidia-lm-eval", told, url, folder, "smollm2", "completions", key)


def _assert_as_by_hand(result: dict[str, Any], output: Path) -> None:
    assert result["samples"] == {"asked": NVIDIA_LIMIT, "answered": NVIDIA_LIMIT, "failed": 0}
    assert result["protocol"] == "loglikelihood"
    found = scores_of_result(result)
    # The probability of the right choice among all: it would show the smallest shift of the tokens.
    assert 0.01 < found["acc"] < 0.99
    assert found == pytest.approx(scores(output), rel=1e-3)


def _engine(workspace: Workspace) -> list[psutil.Process]:
    """Return the processes that do vLLM's work; they rename themselves."""
    return [one for one in workspace.processes() if name_of(one).startswith("VLLM::")]


def test_chat_and_loglikelihood_survive_a_killed_server(
    workspace: Workspace, checkpoint: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """One run: tasks of harnesses; one more holds the server while its main process is killed, and is repeated.

    Before that the server is asked by NVIDIA's harness called by hand.
    """
    asked = {"name": NVIDIA, "limit": NVIDIA_LIMIT, "parallelism": 1, "tokenizer": str(checkpoint)}
    names = ["capitals", "choice", NVIDIA]
    write_truthful_qa(workspace.folder / "data" / "truthful_qa")
    gate = workspace.folder / "gate"
    slow = {"name": "slow", "command": [sys.executable, PROGRAM, "--wait", str(gate)]}
    workspace.configure(
        {
            "deployment": served_by_vllm(checkpoint),
            "evaluation": {
                "limit": 4,
                "max_new_tokens": 8,
                "task_dirs": [str(define_choice(workspace.folder))],
                "tasks": [
                    "capitals",
                    {"name": "choice", "protocol": "loglikelihood"},
                    slow,
                    asked,
                ],
                "data_dir": "data",
                "env_vars": {"HF_HUB_OFFLINE": "lit:1"},
            },
        }
    )
    running = workspace.start("--retries", "1", cores=3)
    results = [workspace.results / "smol" / task / "result.json" for task in names]
    progress = workspace.results / "smol" / "slow" / "harness" / "progress.json"
    eventually(lambda: progress.exists() and all(map(Path.exists, results)), 300, "results and a running task")

    state = json.loads((workspace.results / "smol" / "server" / "state.json").read_text())
    engine = _engine(workspace)
    assert {name_of(one) for one in engine} >= {"VLLM::EngineCore"}
    key = psutil.Process(state["pid"]).environ()["SNAKEVAL_API_KEY"]
    assert not any(key in line for line in workspace.command_lines()), "the key stands in no list of processes"
    by_hand = _nvidia_by_hand(workspace, checkpoint, key, tmp_path_factory.mktemp("by-hand"))
    os.kill(state["pid"], signal.SIGKILL)
    eventually(lambda: all(map(has_ended, engine)), 60, "no orphans")
    gate.touch()
    done = running.wait()
    assert done.returncode == 0, done.output
    assert workspace.processes() == []

    chat, choice = (workspace.result("smol", task) for task in ("capitals", "choice"))
    assert chat["samples"] == {"asked": 4, "answered": 4, "failed": 0}
    assert choice["samples"] == {"asked": 4, "answered": 4, "failed": 0}
    assert {metric["name"] for metric in choice["metrics"]} == {"acc"}
    assert workspace.result("smol", "slow")["times"]["attempt"] == 1
    assert json.loads((workspace.results / "smol" / "server" / "teardown.json").read_text())["state"] == "STOPPED"
    written = [path for path in workspace.folder.rglob("*") if path.is_file() and path.stat().st_size < 2**22]
    assert not any(key.encode() in path.read_bytes() for path in written), "the key stands in no file"
    _assert_as_by_hand(workspace.result("smol", NVIDIA), by_hand)


def test_a_failed_start_is_told_in_vllms_words(workspace: Workspace, checkpoint: Path) -> None:
    """Other failures: tests/rules/test_failed_starts.py."""
    deployment = served_by_vllm(checkpoint, extra_args="--no-such-flag")
    workspace.configure({"deployment": deployment, "evaluation": {"tasks": ["capitals"]}})
    done = workspace.run("--retries", "0")
    assert done.returncode == 1
    assert "the server of smol did not start: the server ended with status 2" in done.output
    assert "unrecognized arguments: --no-such-flag" in done.output
    assert workspace.processes() == []
