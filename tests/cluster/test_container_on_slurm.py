"""A server in a container of podman as a Slurm job."""

from cluster.conftest import SlurmWorkspace
from containers import Podman, in_podman, stand_in_nim
from workspace import eventually

NIM = "localhost/snakeval-nim:1.8.5"
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
