"""Several instances of a server without any: what they need, the step's command, and what becomes of a dead one."""

import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from builders import make_deployment, make_execution
from snakeval.config.reading.tree import Node
from snakeval.deployments.instances import server_locks
from snakeval.deployments.supervisor import instance as step
from snakeval.deployments.supervisor.instance import (
    Instance,
    InstanceSettings,
    end_leftovers,
    leftover_steps,
    step_command,
)
from snakeval.run.paths import ServerPaths
from snakeval.run.server import ServerRecord, ServerState
from snakeval.system.checkout import ENVS

STEPS = "7.0|snakeval-instance-0\n7.3|snakeval-instance-1\n7.4|evaluate\n7.batch|batch\n"


def _settings(folder: Path, **changes: Any) -> InstanceSettings:
    files = ServerPaths(folder)
    plain = InstanceSettings(files, folder / "launch.sh", Path("/s/supervise.py"), 2, "/health", 1, 600.0)
    return replace(plain, **changes)


def test_the_router_is_needed_for_servers_with_several_instances_only() -> None:
    several = replace(make_execution(), options=Node({"num_nodes": 6, "num_instances": 3}))
    assert (several.num_instances, several.nodes_per_instance) == (3, 2)
    assert (make_execution().num_instances, make_execution().nodes_per_instance) == (1, 1)
    llamacpp = make_deployment(type="llamacpp")
    assert server_locks(llamacpp, make_execution()) == (ENVS / "llamacpp.lock",)
    assert server_locks(llamacpp, several) == (ENVS / "llamacpp.lock", ENVS / "router.lock")
    assert server_locks(make_deployment(), several) == (ENVS / "router.lock",)
    assert server_locks(make_deployment(type="none"), several) == ()


@pytest.mark.parametrize(
    ("number", "nodes", "first", "host"), [(0, 1, 0, "127.0.0.1"), (0, 2, 0, "auto"), (2, 2, 4, "auto")]
)
def test_a_step_is_on_nodes_of_its_own(number: int, nodes: int, first: int, host: str, tmp_path: Path) -> None:
    command = step_command(number, _settings(tmp_path, nodes=nodes), "id.x")
    srun = command[: command.index("--input=none") + 1]
    assert srun == [
        "srun",
        f"--job-name=snakeval-instance-{number}",
        f"--relative={first}",
        "--nodes=1",
        "--ntasks=1",
        "--ntasks-per-node=1",
        "--overlap",
        "--export=ALL",
        "--input=none",
    ]
    supervisor = command[len(srun) + 1 :]
    assert supervisor == [
        "/s/supervise.py",
        "--folder",
        str(tmp_path / "instances" / str(number)),
        "--server-id",
        "id.x",
        "--host",
        host,
        "--advertise",
        host,
        "--health-path=/health",
        "--max-restarts",
        "1",
        "--idle-timeout-s",
        "inf",
        "--",
        "bash",
        str(tmp_path / "launch.sh"),
    ]


def test_leftover_steps_are_cancelled_and_no_others(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[list[str]] = []
    answers = [STEPS, "7.batch|batch\n"]

    def call(command: list[str]) -> "subprocess.CompletedProcess[str]":
        calls.append(command)
        return subprocess.CompletedProcess(command, 0, answers.pop(0) if command[0] == "squeue" else "", "")

    monkeypatch.setattr(step, "call", call)
    monkeypatch.setattr(step, "LEFTOVER_POLL_S", 0.0)
    assert end_leftovers("7") == []
    assert [command for command in calls if command[0] == "scancel"] == [["scancel", "7.0", "7.3"]]
    assert calls[0][-2:] == ["--job=7", "--format=%i|%j"]
    answers.append(STEPS)
    monkeypatch.setattr(step, "LEFTOVER_PATIENCE_S", -1.0)
    assert end_leftovers("7") == ["7.0", "7.3"]
    assert leftover_steps("slurm_load_jobs error: Invalid job id specified\n") == []


MakeInstance = Callable[..., Instance]


@pytest.fixture
def make_instance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MakeInstance]:
    """Start an instance whose step is a process that does nothing."""
    made: list[Instance] = []
    monkeypatch.setattr(step, "step_command", lambda *_: ["sleep", "600"])

    def make(**changes: Any) -> Instance:
        made.append(Instance(0, _settings(tmp_path, **changes)))
        made[-1].start()
        return made[-1]

    yield make
    for one in made:
        one.end()


def _register(instance: Instance, state: str, **facts: Any) -> None:
    record = ServerRecord.read(instance.files.state)
    assert record is not None
    replace(record, state=ServerState(state), host="10.0.0.1", port=80, **facts).write(instance.files.state)


def test_ready_is_what_has_registered_and_listens(make_instance: MakeInstance, monkeypatch: pytest.MonkeyPatch) -> None:
    instance = make_instance()
    assert instance.look() is None
    monkeypatch.setattr(step, "listens", lambda host, port: (host, port) == ("10.0.0.1", 80))
    _register(instance, "READY")
    assert instance.look() == "http://10.0.0.1:80"
    _register(instance, "STARTING")
    assert instance.look() is None
    _register(instance, "READY", server_id="0000000000000000")
    assert instance.look() is None
    assert instance.news() == []


def test_a_silent_instance_is_started_again_and_then_given_up(
    make_instance: MakeInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Slurm's own process in the step was killed with it: srun waits for ever, and nobody corrects the state file."""
    instance = make_instance()
    monkeypatch.setattr(step, "listens", lambda *_: True)
    _register(instance, "READY")
    assert instance.look() is not None
    monkeypatch.setattr(step, "listens", lambda *_: False)
    assert instance.look() is None
    assert instance.news() == []
    monkeypatch.setattr(step, "SILENT_S", -1.0)
    assert instance.look() is None
    assert instance.news() == ["instance 0: nothing listens there any more; start 1 of 1 more in 1 s"]
    monkeypatch.setattr(instance, "_next_start", 0.0)
    assert instance.look() is None
    _register(instance, "READY")
    assert instance.look() is None
    assert instance.gone == "nothing listens there any more"
    assert instance.news() == ["instance 0 is given up: nothing listens there any more"]
    assert "instance 0: nothing listens there any more; the end of " in instance.epitaph()


def test_what_takes_too_long_is_given_up(make_instance: MakeInstance) -> None:
    instance = make_instance(readiness_timeout_s=-1.0)
    assert instance.look() is None
    assert instance.gone == "it was not ready within execution.readiness_timeout_s (-1 s)"
    assert instance.look() is None


def test_what_its_supervisor_gave_up_is_not_started_again(make_instance: MakeInstance) -> None:
    instance = make_instance()
    _register(instance, "FAILED", reason="the server ended with status 3")
    assert instance._step is not None
    instance._step.kill()
    instance._step.wait()
    assert instance.look() is None
    assert instance.gone == "the server ended with status 3"
