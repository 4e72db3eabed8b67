"""Tasks in containers of apptainer and pyxis, by stand-ins that take their options; there is no image behind them."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from builders import make_config, make_execution
from containers import use_stand_in
from harness_cases import ENDPOINT, a_task
from snakeval.evaluation.place import BEGAN, Place, failed_start, place_of
from snakeval.harnesses import harness_of
from snakeval.run.gateway_paths import GatewayPaths
from snakeval.system.processes import SERVER_FOLDER_VARIABLE, SERVER_ID_VARIABLE, Mark, processes_of
from step_daemon import Slurmstepd
from workspace import REPOSITORY, eventually, name_of

FAKES = REPOSITORY / "tests" / "fakes"
HARNESS = harness_of("nemo-evaluator")
# Stands where rule evaluate stands: makes the place, and waits for what runs in it.
WAIT = """
import os, subprocess, sys
from rules.test_task_stand_ins import Task
place = Task(sys.argv[1], __import__("pathlib").Path(sys.argv[2])).place("sleep 600")
subprocess.run(place.argv, env={**os.environ, **place.env}, stdin=place.stdin, pass_fds=place.inherited)
"""


@dataclass(frozen=True)
class Task:
    """A task in a container of a runtime."""

    runtime: str
    folder: Path

    def place(self, command: str | None = None) -> Place:
        """Return where it runs, after a command of the user's."""
        mounts: dict[str, Any] = {"deployment": {}, "evaluation": {}, "mount_home": False}
        options: dict[str, Any] = {"container_runtime": self.runtime, "container_args": [], "mounts": mounts}
        config = replace(make_config(), execution=make_execution(self.folder / "results", type="slurm", **options))
        task = a_task(harness="hle", temperature=0.0, pre_cmd=command)
        task = replace(task, task="hle", container="nvcr.io/nvidia/hle:1", env_vars={"MINE": "host:TOKEN_OF_MINE"})
        work = self.folder / "work"
        # The gateway is there before the harness.
        GatewayPaths(self.folder).journal.touch()
        return place_of(config, "tiny", task, HARNESS.command(task, ENDPOINT, work, Path(), config), work, None)


@pytest.fixture(params=["apptainer", "pyxis"])
def task(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Task]:
    use_stand_in(request.param, tmp_path, monkeypatch)
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    monkeypatch.setenv("TOKEN_OF_MINE", "planted-secret-4711")
    monkeypatch.setenv("SOMETHING_ELSE", "outside")
    monkeypatch.setenv(
        "PYTHONPATH",
        os.pathsep.join(
            [str(REPOSITORY / "tests"), str(REPOSITORY / "tests" / "support"), str(REPOSITORY / "scripts")]
        ),
    )
    stepd = Slurmstepd(tmp_path / "stepd", tmp_path / "step.log")
    yield Task(request.param, tmp_path)
    stepd.close()


def test_a_task_sees_what_it_shall_and_fails_with_the_reason(task: Task) -> None:
    """There is no nemo-evaluator on this machine's PATH, as in an image that is no harness's."""
    work = task.folder / "work"
    place = task.place(f"env -0 >{work}/env; pwd >{work}/pwd")
    environ = {**os.environ, **place.env, "MINE": "planted-secret-4711", "SNAKEVAL_HARNESS_FOLDER": str(work)}
    done = subprocess.run(
        place.argv,
        env=environ,
        stdin=place.stdin,
        pass_fds=place.inherited,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (work / BEGAN).exists(), done.stderr
    assert done.returncode == 1
    error = HARNESS.failure(work, done.returncode)
    assert str(error).startswith("the image has no nemo-evaluator on its PATH")
    assert failed_start(make_config(), a_task(), work, 1, "") is None
    inside = dict(line.split("=", 1) for line in (work / "env").read_text().split("\0")[:-1])
    assert (inside["MINE"], inside["SNAKEVAL_SERVER_ID"]) == ("planted-secret-4711", place.env["SNAKEVAL_SERVER_ID"])
    assert not {"SOMETHING_ELSE", "TOKEN_OF_MINE"} & set(inside)
    asked = json.loads((task.folder / "record").read_text())
    assert not [value for value in map(str, asked.values()) if "planted-secret" in value]
    workdir = asked["pwd"] if task.runtime == "apptainer" else asked["container_workdir"]
    assert workdir == str(work)
    assert task.runtime == "apptainer" or asked["jobid"] == "7"


def test_a_container_ends_with_its_task(task: Task) -> None:
    """Which is killed, so that it can do nothing for it: under pyxis the end of its input reaches the step."""
    env = task.place().env
    mark = Mark(env[SERVER_ID_VARIABLE], Path(env[SERVER_FOLDER_VARIABLE]))
    waiting = subprocess.Popen([sys.executable, "-c", WAIT, task.runtime, str(task.folder)])
    try:

        def sleeping() -> bool:
            return any(name_of(one) == "sleep" for one in processes_of(mark))

        eventually(sleeping, 30, "the task's command")
        waiting.kill()
        waiting.wait()
        eventually(lambda: not sleeping(), 30, "the container's end")
        eventually(lambda: processes_of(mark) == [], 30, "the end of all")
    finally:
        waiting.kill()
        waiting.wait()
