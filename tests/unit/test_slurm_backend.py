"""The Slurm backend without a Slurm: what it reads of squeue, what it writes for sbatch, and how both are joined."""

import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from builders import make_config, make_deployment, make_execution
from snakeval.backends import ServerState, slurm
from snakeval.backends.slurm import JobRow, SlurmBackend, parse_squeue, sbatch_options
from snakeval.config.model import Execution
from snakeval.errors import DeploymentError
from snakeval.files import read_json, write_json

OPTIONS: dict[str, Any] = {
    "account": None,
    "partition": "gpu",
    "qos": None,
    "constraint": "h100&nvlink",
    "reservation": None,
    "num_nodes": 1,
    "ntasks_per_node": 1,
    "gres": "gpu:8",
    "gpus_per_node": None,
    "cpus_per_task": 4,
    "mem_gb": 64,
    "walltime": "01:00:00",
    "pending_timeout_s": 60,
    "sbatch_comment": None,
    "sbatch_extra_flags": {"exclusive": True, "switches": 1, "mail-user": None, "overcommit": False},
}
RECORD = {"server_id": "one", "generation": 1, "definition": "d", "job_id": "7", "host": "10.0.0.1", "port": 80}


def _execution(output_dir: Path) -> Execution:
    return replace(make_execution(output_dir), type="slurm", options=OPTIONS)


class FakeSlurm:
    """Answers Slurm's commands from a table of first words; notes what was called."""

    def __init__(self) -> None:
        self.answers: dict[str, tuple[int, str, str]] = {}
        self.calls: list[str] = []

    def __call__(self, command: list[str]) -> "subprocess.CompletedProcess[str]":
        self.calls.append(" ".join(command))
        return subprocess.CompletedProcess(command, *self.answers.get(command[0], (0, "", "")))


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> FakeSlurm:
    """Stand in for sbatch, squeue, scancel and scontrol."""
    stand_in = FakeSlurm()
    monkeypatch.setattr(slurm, "_call", stand_in)
    return stand_in


@pytest.fixture
def backend(tmp_path: Path) -> SlurmBackend:
    """A backend for one deployment named tiny of run demo."""
    config = make_config(tmp_path, [make_deployment("tiny")])
    return SlurmBackend(replace(config, execution=_execution(tmp_path)))


def test_squeue_is_read_and_rubbish_left_out() -> None:
    lines = ["7|RUNNING|None|snakeval-demo-a", "slurm_load_jobs error: no", "", "8|PENDING|Resources|snakeval-demo-b"]
    assert parse_squeue("\n".join(lines)) == {
        "7": JobRow("7", "RUNNING", "None", "snakeval-demo-a"),
        "8": JobRow("8", "PENDING", "Resources", "snakeval-demo-b"),
    }


def test_options_are_those_of_sbatch(tmp_path: Path) -> None:
    assert sbatch_options("demo", make_deployment("tiny"), _execution(tmp_path), "/logs/server.log") == [
        "--job-name=snakeval-demo-tiny",
        "--open-mode=append",
        "--no-requeue",
        "--signal=B:TERM@60",
        "--partition=gpu",
        "--constraint=h100&nvlink",
        "--nodes=1",
        "--ntasks-per-node=1",
        "--gres=gpu:8",
        "--cpus-per-task=4",
        "--mem=64G",
        "--time=01:00:00",
        "--output=/logs/server.log",
        "--exclusive",
        "--switches=1",
    ]


@pytest.mark.parametrize(
    ("registered", "row", "state", "reason"),
    [
        ("PENDING", "7|PENDING|Priority|snakeval-demo-tiny", ServerState.PENDING, "Priority"),
        ("PENDING", "7|RUNNING|None|snakeval-demo-tiny", ServerState.STARTING, None),
        ("STARTING", "7|RUNNING|None|snakeval-demo-tiny", ServerState.STARTING, None),
        ("READY", "7|RUNNING|None|snakeval-demo-tiny", ServerState.READY, None),
        ("READY", "7|COMPLETING|None|snakeval-demo-tiny", ServerState.FAILED, "its Slurm job 7 is COMPLETING"),
        ("READY", "", ServerState.FAILED, "its Slurm job 7 is gone"),
        ("READY", "8|RUNNING|None|snakeval-demo-tiny", ServerState.FAILED, "its Slurm job 7 is gone"),
        ("FAILED", "7|RUNNING|None|snakeval-demo-tiny", ServerState.FAILED, None),
        (
            "PENDING",
            "7|PENDING|BadConstraints|snakeval-demo-tiny",
            ServerState.FAILED,
            "its Slurm job 7 can never start: BadConstraints",
        ),
    ],
)
def test_state_joins_queue_and_registration(
    fake: FakeSlurm, backend: SlurmBackend, tmp_path: Path, registered: str, row: str, state: str, reason: str | None
) -> None:
    write_json(tmp_path / "demo" / "tiny" / "server" / "state.json", RECORD | {"state": registered, "reason": None})
    fake.answers["squeue"] = (0, row + "\n", "")
    server = backend.state("tiny")
    assert (server.state, server.reason) == (state, reason)
    assert backend.state("tiny") == server
    assert len(fake.calls) <= 1, "asked once for both"


def test_a_controller_that_does_not_answer_says_nothing_about_the_server(
    fake: FakeSlurm, backend: SlurmBackend, tmp_path: Path
) -> None:
    write_json(tmp_path / "demo" / "tiny" / "server" / "state.json", RECORD | {"state": "READY", "reason": None})
    fake.answers["squeue"] = (1, "", "Unable to contact slurm controller")
    assert backend.state("tiny").state is ServerState.READY


def test_there_is_no_server_before_the_first_start(fake: FakeSlurm, backend: SlurmBackend) -> None:
    assert backend.state("tiny").state is ServerState.STOPPED
    backend.stop("tiny")
    assert fake.calls == []


def test_a_job_is_on_record_before_it_may_run(fake: FakeSlurm, backend: SlurmBackend, tmp_path: Path) -> None:
    fake.answers["sbatch"] = (0, "42;cluster\n", "")
    backend.start(make_deployment("tiny"))
    folder = tmp_path / "demo" / "tiny" / "server"
    assert [call.split()[0] for call in fake.calls] == ["sbatch", "scontrol"]
    assert fake.calls[1] == "scontrol release 42"
    record = read_json(folder / "state.json")
    assert record is not None
    assert (record["state"], record["job_id"]) == ("PENDING", "42")
    assert (folder / "secrets.json").stat().st_mode & 0o777 == 0o600
    head = (folder / "launch.sh").read_text().split("set -euo pipefail")[0]
    assert "\n#SBATCH --job-name=snakeval-demo-tiny\n" in head


def test_a_refusal_is_told_in_slurms_words(fake: FakeSlurm, backend: SlurmBackend, tmp_path: Path) -> None:
    fake.answers["sbatch"] = (1, "", "sbatch: error: invalid partition specified: gpu\n")
    with pytest.raises(DeploymentError, match="sbatch refused the server of tiny: sbatch: error: invalid partition"):
        backend.start(make_deployment("tiny"))
    assert backend.state("tiny").state is ServerState.FAILED
    assert not (tmp_path / "demo" / "tiny" / "server" / "secrets.json").exists()


def test_stopping_cancels_every_job_of_the_name(
    backend: SlurmBackend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also one whose id was never recorded, because its submitter was killed."""
    write_json(tmp_path / "demo" / "tiny" / "server" / "state.json", RECORD | {"state": "READY", "reason": None})
    calls: list[str] = []
    queue = ["7|RUNNING|None|snakeval-demo-tiny\n9|PENDING|JobHeldUser|snakeval-demo-tiny\n", ""]

    def call(command: list[str]) -> "subprocess.CompletedProcess[str]":
        calls.append(" ".join(command))
        return subprocess.CompletedProcess(command, 0, queue.pop(0) if command[0] == "squeue" else "", "")

    monkeypatch.setattr(slurm, "_call", call)
    backend.stop("tiny")
    assert "scancel 7 9" in calls
    record = read_json(tmp_path / "demo" / "tiny" / "server" / "state.json")
    assert record is not None
    assert record["state"] == "STOPPED"
