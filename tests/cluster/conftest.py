"""A real Slurm: the one that `scripts/dev/slurm-single-host/start.sh` has started, as .ci/run does."""

import functools
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from workspace import REPOSITORY, Workspace, eventually

SERVERS = "snakeval-test-"


@dataclass(frozen=True)
class Job:
    """A job in the queue."""

    id: str
    state: str
    node: str
    name: str


def slurm_call(*words: str) -> str:
    """Run one of Slurm's commands and return what it prints."""
    return subprocess.run(words, capture_output=True, text=True, timeout=30, check=True).stdout.strip()


def cluster_option(name: str) -> str:
    """Return a setting of slurm.conf."""
    found = re.search(rf"^{name} *= (.*)$", slurm_call("scontrol", "show", "config"), re.MULTILINE)
    assert found is not None
    return found.group(1)


def small_execution(**more: Any) -> dict[str, Any]:
    """Return an execution whose servers fit several times on a node; `more` completes or changes it."""
    return {"type": "slurm", "walltime": "00:20:00", "mem_gb": 3, "cpus_per_task": 2, **more}


class SlurmWorkspace(Workspace):
    """A working directory whose runs go to Slurm."""

    def queue(self) -> list[Job]:
        """Return the jobs in the queue that were submitted from this directory."""
        lines = slurm_call("squeue", "--noheader", "--format=%i|%T|%N|%j|%Z").splitlines()
        rows = [line.split("|", 4) for line in lines]
        return [Job(*row[:4]) for row in rows if Path(row[4]).is_relative_to(self.folder)]

    def jobs(self) -> list[str]:
        """Return the id of every job in the queue."""
        return [job.id for job in self.queue()]

    def server_jobs(self) -> list[str]:
        """Return the ids of the server jobs in the queue."""
        return [job.id for job in self.queue() if job.name.startswith(SERVERS)]

    def task_jobs(self) -> list[str]:
        """Return the ids of the jobs of the executor in the queue."""
        return [job.id for job in self.queue() if not job.name.startswith(SERVERS)]

    def node_of(self, job: str) -> str:
        """Return the node that a job runs on."""
        return next(one.node for one in self.queue() if one.id == job)

    def submit(self, *options: str) -> str:
        """Submit a job that sleeps; return its id."""
        folder = ["--chdir", str(self.folder), "--output=/dev/null"]
        return slurm_call("sbatch", "--parsable", *folder, *options, "--wrap", "sleep 600")

    def command(self, *arguments: str, cores: int = 2) -> list[str]:
        """Return a call with the Slurm profile; tasks are small, and looked at often."""
        profile = ["--profile", str(REPOSITORY / "profiles" / "slurm"), "--latency-wait", "10"]
        quick = ["--slurm-init-seconds-before-status-checks", "1", "--seconds-between-status-checks", "2"]
        small = ["--default-resources", "runtime=30", "mem_mb=700"]
        return super().command("--cores", "20", *profile, *quick, *small, *arguments)


@functools.cache
def _missing() -> str:
    """Return what the tests of the cluster need and do not find, "" when all is there."""
    if shutil.which("sbatch") is None:
        return "no Slurm on this machine"
    if subprocess.run(["scontrol", "ping"], capture_output=True, timeout=60, check=False).returncode != 0:
        return "Slurm is installed on this machine, and does not run"
    # Some tests take nodes away, which Slurm lets its administrators do.
    return "" if os.geteuid() == 0 else "no Slurm on this machine of which this user is the administrator"


@pytest.fixture
def slurm(tmp_path: Path) -> Iterator[SlurmWorkspace]:
    """An empty working directory on a living cluster; nothing of it may be in the queue afterwards."""
    if missing := _missing():
        pytest.skip(f"{missing}; as root on Debian `INSTALL=1 scripts/dev/slurm-single-host/start.sh` gives one")
    space = SlurmWorkspace(tmp_path)
    yield space
    space.close()
    try:
        eventually(lambda: space.jobs() == [], 60, "an empty queue")
    finally:
        for job in space.jobs():
            slurm_call("scancel", job)
