"""A judge on Slurm: a job of its own, which tasks reach from wherever they run."""

import sys

import pytest
from cluster.conftest import SlurmWorkspace, small_execution
from workspace import CHECKPOINT, REPOSITORY, eventually

PROGRAM = str(REPOSITORY / "tests" / "fakes" / "judged_task.py")


@pytest.mark.parametrize("evaluate_in", ["job", "allocation"])
def test_two_tasks_share_a_judge(slurm: SlurmWorkspace, evaluate_in: str) -> None:
    served = {"type": "llamacpp", "checkpoint_path": CHECKPOINT}
    command = [sys.executable, PROGRAM, "auxiliary_deployments.judge.chat_url"]
    slurm.configure(
        {
            "deployment": served | {"name": "a"},
            "auxiliary_deployments": {"judge": served | {"served_model_name": "wise"}},
            "execution": small_execution(evaluate_in=evaluate_in),
            "evaluation": {"tasks": [{"name": name, "command": command} for name in ("one", "two")], "limit": 2},
        }
    )
    running = slurm.start()
    servers: set[str] = set()

    def ended() -> bool:
        servers.update(slurm.server_jobs())
        return running.process.poll() is not None

    eventually(ended, 300)
    done = running.wait()
    assert done.returncode == 0, done.output
    assert len(servers) == 2
    # On this one host the network is the loopback too; the scripts tell them apart.
    scripts = {name: (slurm.results / name / "server" / "launch.sh").read_text() for name in ("a", "judge")}
    assert ("--host 127.0.0.1" in scripts["a"]) is (evaluate_in == "allocation")
    assert "--host auto" in scripts["judge"]
    for name in ("one", "two"):
        assert slurm.result("a", name)["versions"]["judge"] == "wise"
    assert slurm.jobs() == []
