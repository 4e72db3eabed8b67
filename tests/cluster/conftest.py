"""A real Slurm: the one that `scripts/slurm-single-host/start.sh` has started, as .ci/run does."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from workspace import REPOSITORY, Workspace, eventually


def _jobs(prefix: str = "") -> list[str]:
    command = ["squeue", "--noheader", "--format=%i %j"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
    return [line for line in done.stdout.splitlines() if prefix in line]


class SlurmWorkspace(Workspace):
    """A working directory whose runs go to Slurm."""

    def jobs(self) -> list[str]:
        """Return id and name of every job in the queue."""
        return _jobs()

    def server_jobs(self) -> list[str]:
        """Return the ids of the server jobs in the queue."""
        return [line.split()[0] for line in _jobs("snakeval-test-")]

    def command(self, *arguments: str, cores: int = 2) -> list[str]:
        """Return a call with the Slurm profile; tasks may use the default partition."""
        profile = ["--profile", str(REPOSITORY / "profiles" / "slurm"), "--latency-wait", "10"]
        quick = ["--slurm-init-seconds-before-status-checks", "1"]
        return super().command("--cores", "20", *profile, *quick, *arguments)


@pytest.fixture
def slurm(tmp_path: Path) -> Iterator[SlurmWorkspace]:
    """An empty working directory on a living cluster; the queue has to be empty again afterwards."""
    if shutil.which("sbatch") is None:
        pytest.skip("no Slurm on this machine; scripts/slurm-single-host/start.sh installs one")
    subprocess.run(["scontrol", "ping"], capture_output=True, timeout=30, check=True)
    space = SlurmWorkspace(tmp_path)
    yield space
    space.close()
    try:
        eventually(lambda: _jobs() == [], 60, "an empty queue")
    finally:
        for line in _jobs():
            subprocess.run(["scancel", line.split()[0]], timeout=30, check=False)
