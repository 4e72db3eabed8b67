"""Two real llama.cpp instances on two nodes behind the router, on a real Slurm: they share the work, and may die."""

import os
import signal
import sys
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cluster.conftest import SlurmWorkspace
from snakeval.system.files import read_json
from workspace import CHECKPOINT, REPOSITORY, eventually

PROGRAM = str(REPOSITORY / "tests" / "fakes" / "command_task.py")


@dataclass(frozen=True)
class Front:
    """The server of deployment a as its files show it."""

    folder: Path

    @property
    def log(self) -> str:
        return (self.folder / "server.log").read_text(encoding="utf-8")

    @property
    def record(self) -> dict[str, Any]:
        return dict(read_json(self.folder / "state.json") or {})

    @property
    def key(self) -> str:
        secrets = read_json(self.folder / "secrets.json")
        assert secrets is not None
        return str(secrets["environment"]["SNAKEVAL_API_KEY"])

    def instance(self, number: int) -> dict[str, Any]:
        return dict(read_json(self.folder / "instances" / str(number) / "state.json") or {})

    def status(self, path: str, key: str | None, method: str = "GET") -> int:
        """Ask the router."""
        url = f"http://{self.record['host']}:{self.record['port']}{path}"
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        try:
            with urllib.request.urlopen(urllib.request.Request(url, headers=headers, method=method), timeout=30) as got:
                return int(got.status)
        except urllib.error.HTTPError as error:
            return error.code

    def answered(self, number: int) -> float:
        """Return how many prompt tokens an instance has read, by its own count."""
        record = self.instance(number)
        url = f"http://{record['host']}:{record['port']}/metrics"
        request = urllib.request.Request(url, headers={"Authorization": f"Bearer {self.key}"})
        with urllib.request.urlopen(request, timeout=30) as got:
            lines = got.read().decode().splitlines()
        return float(next(line.split()[1] for line in lines if line.startswith("llamacpp:prompt_tokens_total ")))


def test_instances_share_the_work_and_their_deaths_are_not_noticed(slurm: SlurmWorkspace) -> None:
    gate = slurm.folder / "gate"
    # Its questions are asked again and again, four at a time; the first one that fails fails the task.
    asks = {"name": "asks", "command": [sys.executable, PROGRAM, "--ask-until", str(gate)]}
    deployment = {"name": "a", "type": "llamacpp", "checkpoint_path": CHECKPOINT, "served_model_name": "smol"}
    execution = {"type": "slurm", "walltime": "00:20:00", "mem_gb": 1, "cpus_per_task": 2}
    slurm.configure(
        {
            "deployment": deployment | {"max_num_seqs": 4, "threads": 1},
            "execution": execution | {"num_nodes": 2, "num_instances": 2},
            "evaluation": {"tasks": [asks], "limit": 3},
        }
    )
    # The task runs beside Snakemake: how often the executor asks for its jobs is not what this is about.
    running = slurm.start("--executor", "local")
    front = Front(slurm.results / "a" / "server")
    eventually((slurm.results / "a" / "asks" / "harness" / "progress.json").exists, 180)
    eventually(lambda: front.answered(0) > 200 and front.answered(1) > 200, 60, "both instances answering")
    (job,) = slurm.server_jobs()
    first = front.record
    assert {front.instance(number)["machine"] for number in (0, 1)} == {first["machine"]}  # virtual nodes
    key = front.key

    assert front.status("/v1/models", key) == 200
    assert front.status("/health", key) == 200
    for stranger in (None, "guessed"):
        assert front.status("/v1/models", stranger) == 401
        assert front.status("/add_worker?url=http%3A%2F%2F127.0.0.1%3A9", stranger, "POST") == 401

    os.kill(front.instance(1)["pid"], signal.SIGKILL)
    eventually(lambda: " is added: 2 of 2 instances are ready" in front.log, 60, "the server to come back")
    second = front.instance(1)
    assert (second["restarts"], second["state"]) == (1, "READY")

    before = front.instance(0)
    for process in ("supervisor_pid", "pid"):
        os.kill(before[process], signal.SIGKILL)
    eventually(lambda: front.log.count(" is added: 2 of 2 instances are ready") == 2, 60, "the step to come back")
    assert front.instance(0)["server_id"] != before["server_id"]
    assert "instance 0: its step ended with status 137; start 1 of 3 more in 1 s" in front.log

    assert not [line for line in slurm.command_lines() if key in line]
    gate.touch()
    done = running.wait()
    assert done.returncode == 0, done.output
    assert slurm.result("a", "asks")["times"]["attempt"] == 1
    assert slurm.result("a", "asks")["samples"] == {"asked": 3, "answered": 3, "failed": 0}
    last = front.record
    assert (last["job_id"], last["generation"], last["restarts"]) == (job, 1, 0)
    written = [path for path in slurm.results.rglob("*") if path.is_file()]
    assert not [path for path in written if key in path.read_text(encoding="utf-8", errors="replace")]
