"""Tasks as steps inside the server's allocation: no job of their own, no queue, the server on its loopback."""

import signal
import sys
from typing import Any

import pytest
from cluster.conftest import SlurmWorkspace, slurm_call, small_execution
from snakeval.system.files import read_json
from workspace import CHECKPOINT, REPOSITORY, command_of, eventually, name_of

PROGRAM = str(REPOSITORY / "tests" / "fakes" / "command_task.py")
REPAIR_PLAN = {"ready": 1, "evaluate": 1, "teardown": 1, "aggregate": 1, "report": 1, "all": 1}


def _config(slurm: SlurmWorkspace, *tasks: dict[str, Any] | str) -> None:
    slurm.configure(
        {
            "deployment": {"type": "llamacpp", "checkpoint_path": CHECKPOINT, "name": "a"},
            "execution": small_execution(evaluate_in="allocation", max_restarts=0),
            "evaluation": {"tasks": list(tasks), "limit": 3},
        }
    )


def _steps(slurm: SlurmWorkspace) -> list[str]:
    names = slurm_call("squeue", "--noheader", "--steps", "--format=%j|%i").splitlines()
    mine = set(slurm.jobs())
    steps = (line.split("|") for line in names)
    return [step for name, step in steps if name.startswith("snakeval-") and step.split(".")[0] in mine]


def test_tasks_run_beside_the_server(slurm: SlurmWorkspace) -> None:
    _config(slurm, "capitals", {"name": "sums", "command": [sys.executable, PROGRAM]})
    running = slurm.start()
    task_jobs: set[str] = set()
    hosts: set[str] = set()

    def ended() -> bool:
        task_jobs.update(slurm.task_jobs())
        state = read_json(slurm.results / "a" / "server" / "state.json") or {}
        hosts.add(state.get("host") or "127.0.0.1")
        return running.process.poll() is not None

    eventually(ended, 300)
    done = running.wait()
    assert done.returncode == 0, done.output
    assert task_jobs == set()
    assert hosts == {"127.0.0.1"}
    for task in ("capitals", "sums"):
        assert slurm.result("a", task)["samples"] == {"asked": 3, "answered": 3, "failed": 0}


@pytest.mark.parametrize("fault", ["scancel of the server", "signal to Snakemake", "kill of the step's srun"])
def test_faults_leave_no_step_and_are_repaired(slurm: SlurmWorkspace, fault: str) -> None:
    gate = slurm.folder / "gate"
    _config(slurm, {"name": "slow", "command": [sys.executable, PROGRAM, "--wait", str(gate)]})
    running = slurm.start("--retries", "0")
    eventually((slurm.results / "a" / "slow" / "harness" / "progress.json").exists, 120)
    # The harness and its gateway.
    assert len(_steps(slurm)) == 2
    if fault == "scancel of the server":
        slurm_call("scancel", *slurm.server_jobs())
    elif fault == "signal to Snakemake":
        running.signal(signal.SIGINT)
    else:
        several = [one for one in slurm.processes() if name_of(one) == "srun" and PROGRAM in command_of(one)]
        # srun has a child of the same name.
        next(one for one in several if one.parent() not in several).kill()
    assert running.wait().returncode != 0
    assert _steps(slurm) == []
    assert slurm.jobs() == []
    gate.touch()
    done = slurm.run()
    assert done.returncode == 0, done.output
    assert done.plan == REPAIR_PLAN
