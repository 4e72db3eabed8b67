"""A server, and tasks, in containers of podman on Slurm."""

from pathlib import Path

import pytest
from cluster.conftest import SlurmWorkspace, small_execution
from containers import Podman, harness_image, in_podman, stand_in_nim
from nemo_bench import NemoBench
from snakeval.system.environments import ensure_environment
from workspace import CHECKPOINT, REPOSITORY, eventually

NIM = "localhost/snakeval-nim:1.8.5"
HARNESS = "localhost/snakeval-simple-evals:26.03"
KEY = "planted-ngc-key-0816"


def test_a_nim_is_served_by_a_job_and_leaves_no_container(slurm: SlurmWorkspace, podman: Podman) -> None:
    """The key of the registry reaches the container by its name; job and container end with the last task."""
    slurm.environ["NGC_API_KEY"] = KEY
    slurm.configure(
        {
            "deployment": stand_in_nim(podman, NIM),
            "execution": {"type": "slurm", "walltime": "00:10:00", "mem_gb": 1, **in_podman()},
            "evaluation": {"tasks": ["boolean_expressions"], "limit": 2},
        }
    )
    done = slurm.run()
    assert done.returncode == 0, done.output
    assert slurm.result("nim", "boolean_expressions")["samples"]["answered"] == 2
    assert podman.containers() == []
    # Slurm looks after what podman has left of its own for some seconds more.
    eventually(lambda: slurm.jobs() == [], 60, "an empty queue")
    script = (slurm.results / "nim" / "server" / "launch.sh").read_text(encoding="utf-8")
    assert "#SBATCH" in script
    assert "podman run" in script
    for file in slurm.folder.rglob("*"):
        assert not file.is_file() or KEY.encode() not in file.read_bytes(), file


@pytest.mark.parametrize("evaluate_in", ["job", "allocation"])
def test_a_task_in_an_image_has_the_numbers_of_one_without(
    slurm: SlurmWorkspace, podman: Podman, tmp_path: Path, evaluate_in: str
) -> None:
    """As a job of its own, and as a step beside the server, whose key it has."""
    python = ensure_environment(REPOSITORY / "envs" / "nvidia-simple-evals.lock")
    NemoBench(tmp_path, python).ask(*["Answer: A"] * 3)
    mounts = {"evaluation": harness_image(podman, HARNESS, python.parents[1])}
    task = {"task": "mmlu_pro", "harness": "simple_evals", "max_new_tokens": 7, "dataset_dir": str(tmp_path / "data")}
    server = {"type": "llamacpp", "checkpoint_path": CHECKPOINT, "name": "a"}
    slurm.configure(
        {
            # One request at a time and nothing kept: the same answers every time.
            "deployment": server | {"cache_prompt": False, "max_num_seqs": 1},
            "execution": small_execution(evaluate_in=evaluate_in, container_runtime="podman", mounts=mounts),
            "evaluation": {
                "parallelism": 1,
                "env_vars": {"HF_HUB_OFFLINE": "lit:1", "HF_HOME": "lit:/tmp/hf"},
                "tasks": [{"name": "outside", **task}, {"name": "inside", "container": HARNESS, **task}],
            },
        }
    )
    done = slurm.run()
    assert done.returncode == 0, done.output
    outside, inside = (slurm.result("a", name) for name in ("outside", "inside"))
    assert inside["metrics"] == outside["metrics"]
    assert inside["samples"] == outside["samples"] == {"asked": 3, "answered": 3, "failed": 0}
    assert inside["versions"] == {"container": HARNESS, **outside["versions"]}
    assert podman.containers() == []
    eventually(lambda: slurm.jobs() == [], 60, "an empty queue")
