"""Apptainer and pyxis, which this machine has not, by stand-ins that take their options and run the server for real."""

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from builders import make_config, make_deployment, make_execution
from containers import use_stand_in
from snakeval.backends.local import LocalBackend
from snakeval.config.model import Config
from snakeval.run.paths import RunPaths
from snakeval.system.files import read_json
from snakeval.system.processes import Mark, family_of, processes_of
from step_daemon import Slurmstepd
from workspace import REPOSITORY, command_of, eventually

FAKES = REPOSITORY / "tests" / "fakes"
SERVE = f'exec {sys.executable} {FAKES}/tiny_server.py "$SNAKEVAL_PORT"'
RUNTIMES = ["apptainer", "pyxis"]


class Server:
    """One deployment in a stand-in's container."""

    def __init__(self, runtime: str, folder: Path, restarts: int = 0) -> None:
        self.folder = folder
        (folder / "seen").mkdir()
        mounts = {"deployment": {str(folder / "seen"): "/seen", "/usr": "/usr:ro"}, "mount_home": False}
        execution = make_execution(
            folder, max_restarts=restarts, container_runtime=runtime, container_args=[], mounts=mounts
        )
        self.deployment = make_deployment(
            runtime="container",
            image="nvcr.io/nvidia/server:1.2",
            command=f"env -0 >{folder}/seen/env; {SERVE}",
            env_vars={"HF_TOKEN": "host:TOKEN_OF_MINE"},
        )
        base = make_config(folder, [self.deployment])
        self.backend = LocalBackend(Config(**{**vars(base), "execution": execution}))
        self.files = RunPaths(folder / "demo").server("tiny")

    @property
    def record(self) -> dict[str, Any]:
        """What the supervisor has registered."""
        return read_json(self.files.state) or {}

    @property
    def asked(self) -> dict[str, Any]:
        """What the runtime was asked for."""
        return dict(json.loads((self.folder / "record").read_text()))

    def processes(self, record: dict[str, Any]) -> list[psutil.Process]:
        """Return the processes of one start."""
        return processes_of(Mark.of(self.files.folder, record["server_id"]))

    def wait_for(self, state: str, generation: int = 1) -> dict[str, Any]:
        """Wait for what the supervisor registers."""

        def reached() -> bool:
            return (self.record.get("state"), self.record.get("generation")) == (state, generation)

        eventually(reached, 30, f"{state} {generation}: {self.record} {self.backend.log_tail('tiny')}")
        return self.record


@pytest.fixture(params=RUNTIMES)
def server(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    use_stand_in(request.param, tmp_path, monkeypatch)
    monkeypatch.setenv("SLURMD_NODENAME", "n1")
    monkeypatch.setenv("TOKEN_OF_MINE", "planted-secret-4711")
    monkeypatch.setenv("SOMETHING_ELSE", "outside")
    stepd = Slurmstepd(tmp_path / "stepd", tmp_path / "step.log")
    one = Server(request.param, tmp_path, restarts=1)
    yield one
    one.backend.stop("tiny")
    stepd.close()


def test_a_server_answers_sees_what_it_shall_and_is_ended(server: Server) -> None:
    server.backend.start(server.deployment)
    record = server.wait_for("READY")
    lines = (server.folder / "seen" / "env").read_text().split("\0")[:-1]
    inside = dict(line.split("=", 1) for line in lines)
    assert inside["HF_TOKEN"] == "planted-secret-4711"
    assert inside["SNAKEVAL_API_KEY"] == (read_json(server.files.secrets) or {})["environment"]["SNAKEVAL_API_KEY"]
    assert not {"SOMETHING_ELSE", "TOKEN_OF_MINE", "SNAKEVAL_SUPERVISED"} & set(inside)
    assert not [value for value in map(str, server.asked.values()) if "planted-secret" in value]
    server.backend.stop("tiny")
    assert server.processes(record) == []
    assert server.record["state"] == "STOPPED"


def test_a_killed_client_is_a_crash_of_the_server(server: Server) -> None:
    """Under Slurm the step would go on without its srun: the supervisor ends it before it starts another."""
    server.backend.start(server.deployment)
    record = server.wait_for("READY")
    before = {one.pid for one in server.processes(record)} - {record["supervisor_pid"]}
    os.kill(record["pid"], 9)
    again = server.wait_for("READY", 2)
    now = {one.pid for one in server.processes(again)} - {record["supervisor_pid"]}
    assert now
    assert not before & now


def test_a_step_is_nobodys_child_and_found_all_the_same(server: Server) -> None:
    server.backend.start(server.deployment)
    record = server.wait_for("READY")
    (listening,) = [one for one in server.processes(record) if f"{FAKES}/tiny_server.py" in command_of(one)]
    is_pyxis = "container_image" in server.asked
    assert (listening in family_of(record["supervisor_pid"])) != is_pyxis


def test_a_container_ends_with_its_supervisor(server: Server) -> None:
    """Of apptainer; a step of Slurm ends with its job, which this machine's stand-in has not."""
    server.backend.start(server.deployment)
    record = server.wait_for("READY")
    os.kill(record["supervisor_pid"], 9)
    if "container_image" in server.asked:
        server.backend.stop("tiny")
    eventually(lambda: server.processes(record) == [], 30, "the container's end")
