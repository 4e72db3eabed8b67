"""The Slurm backend without a Slurm: what it reads of squeue, what it writes for sbatch, and how both are joined."""

import subprocess
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from builders import make_config, make_deployment, make_execution
from snakeval.backends.slurm import backend as slurm
from snakeval.backends.slurm import queue as slurm_queue
from snakeval.backends.slurm.backend import SlurmBackend
from snakeval.backends.slurm.options import job_name, sbatch_options, seconds, supervisor_options
from snakeval.backends.slurm.queue import Answer, JobRow, SharedQueue, parse_squeue
from snakeval.commands.status.run_status import run_status
from snakeval.config.model import Execution
from snakeval.config.reading.tree import Node
from snakeval.errors import DeploymentError
from snakeval.run.server import ServerRecord, ServerState
from snakeval.system.files import HeldLock

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
    "max_walltime": "1-00:00:00",
    "requeue": True,
    "drain_s": 120,
    "evaluate_in": "job",
    "pending_timeout_s": 60,
    "sbatch_comment": None,
    "sbatch_extra_flags": {"exclusive": True, "switches": 1, "mail-user": None, "overcommit": False},
}
NAME = "snakeval-demo-tiny-8d1f0a2b"
READY = ServerRecord(
    ServerState.READY, "0123456789abcdef", generation=1, definition="d", job_id="7", host="10.0.0.1", port=80
)


def _execution(output_dir: Path) -> Execution:
    return replace(make_execution(output_dir), type="slurm", options=Node(OPTIONS))


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
    monkeypatch.setattr(slurm, "call", stand_in)
    monkeypatch.setattr(slurm_queue, "call", stand_in)
    return stand_in


@pytest.fixture
def backend(tmp_path: Path) -> SlurmBackend:
    """A backend for one deployment named tiny of run demo."""
    config = make_config(tmp_path, [make_deployment("tiny")])
    return SlurmBackend(replace(config, execution=_execution(tmp_path)))


def _state_file(tmp_path: Path, deployment: str = "tiny") -> Path:
    return tmp_path / "demo" / deployment / "server" / "state.json"


def _record(file: Path) -> ServerRecord:
    record = ServerRecord.read(file)
    assert record is not None
    return record


def _row(job_id: str, state: str, reason: str = "None", restarts: int = 0, name: str = NAME) -> str:
    return f"{job_id}|{state}|{reason}|{restarts}|n1|{name}|\n"


def test_squeue_is_read_and_rubbish_left_out() -> None:
    lines = [_row("7", "RUNNING"), "slurm_load_jobs error: no\n", "\n", _row("8", "PENDING", "Resources", 2, "other")]
    assert parse_squeue("".join(lines)) == {
        "7": JobRow("7", "RUNNING", "None", 0, "n1", NAME),
        "8": JobRow("8", "PENDING", "Resources", 2, "n1", "other"),
    }


def test_options_are_those_of_sbatch(tmp_path: Path) -> None:
    assert sbatch_options(NAME, _execution(tmp_path), Path("/logs/server.log")) == [
        f"--job-name={NAME}",
        "--open-mode=append",
        "--requeue",
        "--signal=B:USR1@120",
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


def test_the_supervisor_knows_how_the_time_limit_is_met(tmp_path: Path) -> None:
    execution = _execution(tmp_path)
    assert supervisor_options(execution) == ["--drain-s", "120", "--requeue", "--max-walltime-s", "86400"]
    assert "--output=/a%%j/log" in sbatch_options(NAME, execution, Path("/a%j/log"))
    without = replace(execution, options=Node(OPTIONS | {"requeue": False, "max_walltime": None}))
    assert supervisor_options(without) == ["--drain-s", "120"]
    assert "--no-requeue" in sbatch_options(NAME, without, Path("/logs/server.log"))


@pytest.mark.parametrize(("text", "expected"), [("00:01:00", 60), ("120:00:00", 432_000), ("1-02:03:04", 93_784)])
def test_walltimes_are_seconds(text: str, expected: int) -> None:
    assert seconds(text) == expected


def test_runs_of_one_name_in_two_folders_have_jobs_of_two_names(tmp_path: Path) -> None:
    first, second = (job_name(tmp_path / one / "demo", "demo", "tiny") for one in "ab")
    assert first != second
    assert first.startswith("snakeval-demo-tiny-")


@pytest.mark.parametrize(
    ("registered", "row", "state", "reason"),
    [
        ({"state": "PENDING"}, _row("7", "PENDING", "Priority"), ServerState.PENDING, "Priority"),
        ({"state": "PENDING", "generation": 0}, _row("7", "RUNNING"), ServerState.STARTING, None),
        ({"state": "STARTING"}, _row("7", "RUNNING"), ServerState.STARTING, None),
        ({"state": "READY"}, _row("7", "RUNNING"), ServerState.READY, None),
        ({"state": "READY"}, _row("7", "COMPLETING"), ServerState.FAILED, "its Slurm job 7 is ending"),
        ({"state": "READY"}, _row("7", "TIMEOUT"), ServerState.FAILED, "its Slurm job 7 has ended as TIMEOUT"),
        ({"state": "READY"}, "", ServerState.FAILED, "its Slurm job 7 is gone"),
        ({"state": "READY"}, _row("8", "RUNNING"), ServerState.FAILED, "its Slurm job 7 is gone"),
        ({"state": "FAILED"}, _row("7", "RUNNING"), ServerState.FAILED, None),
        (
            {"state": "PENDING"},
            _row("7", "PENDING", "BadConstraints"),
            ServerState.FAILED,
            "its Slurm job 7 can never start: BadConstraints",
        ),
        (
            {"state": "READY"},
            _row("7", "COMPLETING", "None", 1),
            ServerState.PENDING,
            "its Slurm job 7 was put back into the queue: None",
        ),
        (
            {"state": "DRAINING"},
            _row("7", "PENDING", "BeginTime", 1),
            ServerState.PENDING,
            "its Slurm job 7 was put back into the queue: BeginTime",
        ),
        ({"state": "READY"}, _row("7", "RUNNING", "None", 1), ServerState.STARTING, "its Slurm job 7 has begun again"),
        ({"state": "READY", "incarnation": 1}, _row("7", "RUNNING", "None", 1), ServerState.READY, None),
        # The supervisor is about to put the job back: tasks must not take it for a server that starts.
        ({"state": "PENDING"}, _row("7", "RUNNING"), ServerState.PENDING, None),
    ],
)
def test_state_joins_queue_and_registration(
    fake: FakeSlurm,
    backend: SlurmBackend,
    tmp_path: Path,
    registered: dict[str, Any],
    row: str,
    state: str,
    reason: str | None,
) -> None:
    replace(READY, **registered | {"state": ServerState(registered["state"])}).write(_state_file(tmp_path))
    fake.answers["squeue"] = (0, row, "")
    server = backend.state("tiny")
    assert (server.state, server.reason) == (state, reason)
    assert backend.state("tiny") == server
    assert len(fake.calls) <= 1, "asked once for both"


def test_a_server_has_no_more_than_max_walltime_in_one_call(
    fake: FakeSlurm, backend: SlurmBackend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake.answers["sbatch"] = (0, "42\n", "")
    state = _state_file(tmp_path)
    replace(READY, state=ServerState.FAILED, session="one", used_s=86_400.0).write(state)
    monkeypatch.setenv("SNAKEVAL_SESSION", "one")
    with pytest.raises(
        DeploymentError, match=r"have had 86400 s, all that execution.max_walltime \(1-00:00:00\) allows"
    ):
        backend.start(make_deployment("tiny"))
    monkeypatch.setenv("SNAKEVAL_SESSION", "two")
    backend.start(make_deployment("tiny"))
    assert _record(state).used_s == 0.0


def test_a_controller_that_does_not_answer_says_nothing_about_the_server(
    fake: FakeSlurm, backend: SlurmBackend, tmp_path: Path
) -> None:
    READY.write(_state_file(tmp_path))
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
    record = _record(folder / "state.json")
    assert (record.state, record.job_id) == (ServerState.PENDING, "42")
    assert (folder / "secrets.json").stat().st_mode & 0o777 == 0o600
    head = (folder / "launch.sh").read_text().split("set -euo pipefail")[0]
    assert f"\n#SBATCH --job-name={job_name(tmp_path / 'demo', 'demo', 'tiny')}\n" in head


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
    READY.write(_state_file(tmp_path))
    calls: list[str] = []
    name = job_name(tmp_path / "demo", "demo", "tiny")
    old, running = _row("3", "TIMEOUT", name=name), _row("7", "RUNNING", name=name)
    queue = [old + running + _row("9", "PENDING", "JobHeldUser", name=name), old]

    def call(command: list[str]) -> "subprocess.CompletedProcess[str]":
        calls.append(" ".join(command))
        return subprocess.CompletedProcess(command, 0, queue.pop(0) if command[0] == "squeue" else "", "")

    monkeypatch.setattr(slurm, "call", call)
    monkeypatch.setattr(slurm_queue, "call", call)
    backend.stop("tiny")
    assert "scancel 7 9" in calls
    assert _record(_state_file(tmp_path)).state is ServerState.STOPPED


def test_the_queue_is_asked_once_for_all_processes_of_a_run(fake: FakeSlurm, tmp_path: Path) -> None:
    fake.answers["squeue"] = (0, _row("7", "RUNNING"), "")
    first, second = (SharedQueue(tmp_path / "queue.json", [NAME]) for _ in range(2))
    assert first.rows() == second.rows()
    assert len(fake.calls) == 1
    second.forget()
    assert first.rows()["7"].state == "RUNNING"
    assert len(fake.calls) == 2


def test_an_answer_from_before_the_submission_does_not_know_the_job(fake: FakeSlurm, tmp_path: Path) -> None:
    """A process that asked just before may write its answer just after: the job is not gone."""
    queue = SharedQueue(tmp_path / "queue.json", [NAME])
    assert queue.rows() == {}
    fake.answers["squeue"] = (0, _row("7", "RUNNING"), "")
    assert list(queue.rows(since=time.time())) == ["7"]


def test_who_finds_another_asking_takes_a_slightly_older_answer(fake: FakeSlurm, tmp_path: Path) -> None:
    queue = SharedQueue(tmp_path / "queue.json", [NAME])
    asking = HeldLock(tmp_path / "queue.lock")
    assert asking.acquire()
    row = JobRow("7", "RUNNING", "None", 0, "n1", NAME)
    Answer(time.time() - 5, (row,)).write(tmp_path / "queue.json")
    assert list(queue.rows()) == ["7"]
    assert fake.calls == []
    Answer(time.time() - 60, (row,)).write(tmp_path / "queue.json")
    assert queue.rows() == {}
    assert len(fake.calls) == 1
    asking.release()


@pytest.mark.parametrize("answer", [(0, "7|RUNNING|None|0|n1|snakeval-demo-d0", ""), (1, "", "cannot connect")])
def test_the_status_of_a_run_is_one_question(tmp_path: Path, fake: FakeSlurm, answer: tuple[int, str, str]) -> None:
    deployments = [make_deployment(f"d{number}") for number in range(20)]
    config = replace(make_config(tmp_path, deployments), execution=_execution(tmp_path))
    for deployment in deployments:
        READY.write(_state_file(tmp_path, deployment.name))
    fake.answers["squeue"] = answer
    status = run_status(config)
    assert len(fake.calls) == 1
    assert status.servers[0].state is ServerState.READY
    assert status.servers[0].address == "10.0.0.1:80"
