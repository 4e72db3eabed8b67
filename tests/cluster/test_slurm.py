"""Runs on a real Slurm: servers as jobs of their own, tasks as jobs of the executor, and what faults do."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from cluster.conftest import SlurmWorkspace, slurm_call, small_execution
from snakeval.system.files import read_json
from workspace import CHECKPOINT, REPOSITORY, Workspace, eventually

PROGRAM = str(REPOSITORY / "tests" / "fakes" / "command_task.py")
REPAIR_PLAN = {"ready": 1, "evaluate": 1, "teardown": 1, "aggregate": 1, "report": 1, "all": 1}


def _sums(name: str, *arguments: str) -> dict[str, Any]:
    return {"name": name, "command": [sys.executable, PROGRAM, *arguments]}


def _config(
    *tasks: dict[str, Any] | str,
    deployments: tuple[str, ...] = ("a",),
    served: Mapping[str, Any] | None = None,
    **execution: Any,
) -> dict[str, Any]:
    smol = {"type": "llamacpp", "checkpoint_path": CHECKPOINT, "served_model_name": "smol", **(served or {})}
    return {
        "deployments": [{"name": name, **smol} for name in deployments],
        "execution": small_execution(**{"mem_gb": 2, **execution}),
        "evaluation": {"tasks": list(tasks), "limit": 3},
    }


def test_two_deployments_are_two_server_jobs_with_the_scores_of_a_local_run(
    slurm: SlurmWorkspace, tmp_path: Path
) -> None:
    tasks = ("capitals", "antonyms", _sums("sums"), _sums("more_sums"))
    # What shares a batch with a sequence, or was computed before it, changes its last bits, and so its greedy answers.
    plan = _config(*tasks, deployments=("a", "b"), served={"max_num_seqs": 1, "cache_prompt": False})
    slurm.configure(plan)
    planned = slurm.run("--dry-run")
    assert slurm.jobs() == []
    running = slurm.start()
    seen: set[str] = set()

    def ended() -> bool:
        seen.update(slurm.server_jobs())
        return running.process.poll() is not None

    eventually(ended, 400)
    done = running.wait()
    assert done.returncode == 0, done.output
    assert planned.plan == done.plan
    assert len(seen) == 2
    assert slurm.jobs() == []
    local = Workspace(tmp_path / "local")
    local.folder.mkdir()
    local.configure(plan | {"execution": {"type": "local"}})
    assert local.run().returncode == 0
    for deployment in "ab":
        names = [path.parent.name for path in (slurm.results / deployment).glob("*/result.json")]
        assert len(names) == 4
        for name in names:
            there, here = (space.result(deployment, name) for space in (slurm, local))
            assert there["samples"] == here["samples"] == {"asked": 3, "answered": 3, "failed": 0}
            assert there["metrics"] == here["metrics"]
        server = read_json(slurm.results / deployment / "server" / "state.json") or {}
        last = max((slurm.results / deployment / name / "result.json").stat().st_mtime for name in names)
        assert server["updated_at"] - last < 10, (server["updated_at"], last)
        assert "#SBATCH --time=00:20:00\n" in (slurm.results / deployment / "server" / "launch.sh").read_text()


@pytest.mark.without_accounting
def test_a_cancelled_server_is_started_again(slurm: SlurmWorkspace) -> None:
    gate = slurm.folder / "gate"
    slurm.configure(_config(_sums("slow", "--wait", str(gate))))
    running = slurm.start()
    eventually((slurm.results / "a" / "slow" / "harness" / "progress.json").exists, 120)
    (first,) = slurm.server_jobs()
    slurm_call("scancel", first)
    log = slurm.results / "a" / "slow" / "log.txt"
    eventually(lambda: "its Slurm job" in log.read_text(), 60)
    gate.touch()
    done = running.wait()
    assert done.returncode == 0, done.output
    assert slurm.result("a", "slow")["times"]["attempt"] == 1


@pytest.mark.without_accounting
def test_a_failed_task_alone_runs_again(slurm: SlurmWorkspace) -> None:
    cure = slurm.folder / "cure"
    slurm.configure(_config(_sums("well"), _sums("sick", "--need", str(cure))))
    first = slurm.run("--retries", "0")
    assert first.returncode == 1
    assert "missing: a/sick" in first.output
    assert slurm.server_jobs() == []
    cure.touch()
    assert slurm.run("--dry-run").plan == REPAIR_PLAN
    second = slurm.run()
    assert second.returncode == 0, second.output
    assert second.plan == REPAIR_PLAN


@pytest.mark.without_accounting
@pytest.mark.parametrize(
    ("execution", "message"),
    [
        ({"partition": "nowhere"}, "sbatch refused the server of a: sbatch: error: invalid partition"),
        ({"gres": "gpu:99"}, "can never start: BadConstraints"),
    ],
)
def test_a_refused_job_is_told_in_slurms_words(slurm: SlurmWorkspace, execution: dict[str, Any], message: str) -> None:
    slurm.configure(_config(_sums("sums"), **execution))
    done = slurm.run("--retries", "0")
    assert done.returncode == 1
    assert message in done.output
    assert "missing: a/sums" in done.output


def test_a_job_that_waits_for_ever_has_a_deadline_and_a_reason(slurm: SlurmWorkspace) -> None:
    hold = slurm.submit("--nodes=4", "--exclusive")
    # Slurm may still be busy on a node with what the last job has left.
    eventually(lambda: slurm.queue()[0].state == "RUNNING", 180, "a full cluster")
    try:
        slurm.configure(_config(_sums("sums"), pending_timeout_s=5))
        done = slurm.run("--retries", "0")
    finally:
        slurm_call("scancel", hold)
    assert done.returncode == 1
    assert "the job of a is still in the queue after execution.pending_timeout_s (5 s); the reason: " in done.output
    assert slurm.server_jobs() == []
