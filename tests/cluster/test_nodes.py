"""One server over two nodes of a real Slurm, started by vLLM's own options; the engine itself is a stand-in."""

import json
import os
import sys

from cluster.conftest import SlurmWorkspace
from snakeval.system.files import read_json
from workspace import REPOSITORY, command_of, eventually

FAKES = REPOSITORY / "tests" / "fakes"
PROGRAM = str(FAKES / "command_task.py")


def _configure(slurm: SlurmWorkspace, *task: str) -> None:
    vllm = slurm.folder / "bin" / "vllm"
    vllm.parent.mkdir()
    vllm.write_text(f'#!/bin/sh\nexec {sys.executable} {FAKES}/two_node_vllm.py "$@"\n')
    vllm.chmod(0o755)
    slurm.environ["PATH"] = f"{vllm.parent}:{os.environ['PATH']}"
    checkpoint = slurm.folder / "checkpoint"
    checkpoint.mkdir()
    (checkpoint / "config.json").write_text(json.dumps({"num_attention_heads": 8}))
    slurm.configure(
        {
            "deployment": {
                "type": "vllm",
                "runtime": "host",
                "name": "large",
                "served_model_name": "large",
                "checkpoint_path": str(checkpoint),
                "tensor_parallel_size": 2,
            },
            "execution": {"type": "slurm", "num_nodes": 2, "gres": "gpu:1", "mem_gb": 1, "walltime": "00:20:00"},
            "evaluation": {"tasks": [{"name": "sums", "command": [sys.executable, PROGRAM, *task]}], "limit": 3},
        }
    )


def _log(slurm: SlurmWorkspace) -> str:
    return (slurm.results / "large" / "server" / "server.log").read_text(encoding="utf-8")


def test_ranks_meet_on_two_nodes_and_end_together(slurm: SlurmWorkspace) -> None:
    gate = slurm.folder / "gate"
    _configure(slurm, "--wait", str(gate))
    running = slurm.start()
    eventually((slurm.results / "large" / "sums" / "harness" / "progress.json").exists, 120, "the first answer")
    first, second = (next(line for line in _log(slurm).splitlines() if f"rank {rank} of 2 on" in line) for rank in "01")
    assert first.split()[-1] != second.split()[-1]
    # The death of the second rank takes the first one along; the supervisor starts both again.
    other = next(one for one in slurm.processes() if "--node-rank=1" in command_of(one) and "serve" in command_of(one))
    other.kill()
    state = slurm.results / "large" / "server" / "state.json"
    eventually(lambda: (read_json(state) or {}).get("generation") == 2, 60, "the second start")
    gate.touch()
    done = running.wait()
    assert done.returncode == 0, done.output
    assert slurm.result("large", "sums")["samples"] == {"asked": 3, "answered": 3, "failed": 0}
    assert slurm.jobs() == []
    eventually(lambda: not [one for one in slurm.processes() if "--nnodes=2" in command_of(one)], 30, "the ranks' end")
