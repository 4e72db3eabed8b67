"""Whole runs of Snakeval with servers and tasks on the stand-in control plane, driven by the real SDK and Snakemake."""

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from lepton.conftest import MARKS, SERVER, LeptonWorkspace, free_port
from workspace import CHECKPOINT, REPOSITORY, SNAKEVAL, Running, Workspace, eventually

PROGRAM = str(REPOSITORY / "tests" / "fakes" / "command_task.py")


def _sums(name: str, *arguments: str) -> dict[str, Any]:
    return {"name": name, "command": [sys.executable, PROGRAM, *arguments]}


def _served(name: str, **more: Any) -> dict[str, Any]:
    port = free_port()
    command = [sys.executable, SERVER, "--port", str(port), "--model", "m"]
    return {"name": name, "type": "generic", "command": command, "served_model_name": "m", "port": port, **more}


def _execution(**more: Any) -> dict[str, Any]:
    return {
        "type": "lepton",
        "resource_shape": "gpu.1xh200",
        "image": "ubuntu:24.04",
        "node_group": "h100",
        "volumes": [{"from": "node-nfs:shared", "mount_path": "/workspace"}],
        **more,
    }


def _two_at_work(space: LeptonWorkspace) -> tuple[Running, Path]:
    """Return a run whose two tasks have both begun, and the file that they wait for."""
    gate = space.folder / "gate"
    tasks = {"tasks": [_sums("one", "--wait", str(gate)), _sums("two", "--wait", str(gate))], "limit": 3}
    space.configure({"deployment": _served("a"), "execution": _execution(), "evaluation": tasks})
    running = space.start(cores=20)
    progress = [space.results / "a" / name / "harness" / "progress.json" for name in ("one", "two")]
    eventually(lambda: all(file.exists() for file in progress), 120)
    return running, gate


def _is_clean(space: LeptonWorkspace) -> None:
    plane = space.plane
    assert (plane.alive(), plane.endpoints, list(plane.secrets)) == ([], {}, ["PLANTED"])


def _is_secret(space: LeptonWorkspace, output: str) -> None:
    """Assert that no value that was planted, and no token, stands anywhere."""
    files = (file for file in space.folder.rglob("*") if file.is_file())
    kept = "".join(file.read_text(errors="replace") for file in files)
    for value in (*MARKS.values(), space.plane.token):
        assert value not in space.plane.bodies() + output + kept


def test_the_demo_scores_the_same_on_lepton_as_here(any_space: LeptonWorkspace, llamacpp_python: Any) -> None:
    space = any_space
    # One request at a time, nothing kept of the last one: the same answers every time.
    same = {"max_num_seqs": 1, "cache_prompt": False}
    model = {"type": "llamacpp", "checkpoint_path": CHECKPOINT, "served_model_name": "smol", "name": "a", **same}
    evaluation = {"tasks": ["capitals", _sums("sums"), _sums("more")], "limit": 3, "parallelism": 1}
    here = Workspace(space.folder)
    here.configure({"deployment": model, "execution": {"output_dir": "here"}, "evaluation": evaluation})
    if not space.plane.new_family:
        local = here.run()
        assert local.returncode == 0, local.output
    variables = {"MARK": "host:PLANTED"}
    served = {**model, "port": free_port(), "env_vars": variables}
    space.configure({"deployment": served, "execution": _execution(), "evaluation": evaluation})
    planned = space.run("--dry-run", cores=20)
    assert planned.returncode == 0, planned.output
    assert space.plane.requests == []
    done = space.run(cores=20)
    assert done.returncode == 0, done.output
    assert planned.plan == done.plan
    family = "/endpoints" if space.plane.new_family else "/deployments"
    assert (space.plane.count("POST", family), space.plane.count("POST", "/jobs")) == (1, 3)
    for task in ("capitals", "sums", "more"):
        result = space.result("a", task)
        assert result["samples"] == {"asked": 3, "answered": 3, "failed": 0}
        if not space.plane.new_family:
            local_result = json.loads((space.folder / "here" / "test" / "a" / task / "result.json").read_text())
            assert result["metrics"] == local_result["metrics"]
    ends = [one.at for one in space.plane.requests if one.method == "DELETE" and one.path.startswith("/jobs/")]
    deleted = [one.at for one in space.plane.requests if one.method == "DELETE" and one.path.startswith(family)]
    assert deleted[0] - max(ends) < 30
    _is_clean(space)
    _is_secret(space, done.output)
    again = space.run(cores=20)
    assert "Nothing to be done" in again.output


def test_what_is_wrong_with_an_endpoint_reaches_the_user(space: LeptonWorkspace) -> None:
    crashing = _served("crashing", command=["bash", "-c", "echo no weights here; exit 3"])
    missing = _served("missing", lepton_config={"resource_shape": "gpu.nocap"})
    execution = _execution(pending_timeout_s=5)
    space.configure({"deployments": [crashing, missing], "execution": execution, "evaluation": {"tasks": [_sums("s")]}})
    done = space.run("--retries", "0", cores=20)
    assert done.returncode == 1
    assert "the server of crashing did not start: the server has ended" in done.output
    assert "no weights here" in done.output
    assert "still in the queue after execution.pending_timeout_s (5 s); the reason: NoCapacity" in done.output
    assert space.plane.count("POST", "/jobs") == 0
    _is_clean(space)


def test_nothing_is_created_when_a_name_is_wrong(space: LeptonWorkspace) -> None:
    served = _served("a", env_vars={"HF_TOKEN": "host:HF_TOKEN"}, lepton_config={"resource_shape": "gpu.9"})
    space.configure({"deployment": served, "execution": _execution(), "evaluation": {"tasks": [_sums("s")]}})
    done = space.run(cores=20)
    assert done.returncode == 1
    assert "error: deployment a: HF_TOKEN names a secret that does not exist" in done.output
    assert "error: deployment a: resource_shape names a resource shape that does not exist" in done.output
    assert {one.method for one in space.plane.requests} == {"GET"}


def test_an_endpoint_that_falls_asleep_under_its_task_is_woken(space: LeptonWorkspace) -> None:
    gate = space.folder / "gate"
    execution = _execution(idle_timeout_s=5)
    tasks = {"tasks": [_sums("slow", "--wait", str(gate))], "limit": 3}
    space.configure({"deployment": _served("a"), "execution": execution, "evaluation": tasks})
    running = space.start(cores=20)
    log = space.results / "a" / "slow" / "log.txt"
    eventually(lambda: log.exists() and "was interrupted (scaled to zero" in log.read_text(), 120)
    gate.touch()
    done = running.wait()
    assert done.returncode == 0, done.output
    assert space.result("a", "slow")["times"]["attempt"] == 1
    _is_clean(space)


def test_an_endpoint_that_somebody_deletes_is_made_again(space: LeptonWorkspace) -> None:
    """The task runs where there is no token: the main process makes the endpoint for it."""
    gate = space.folder / "gate"
    tasks = {"tasks": [_sums("slow", "--wait", str(gate))], "limit": 3}
    space.configure({"deployment": _served("a"), "execution": _execution(), "evaluation": tasks})
    running = space.start(cores=20)
    eventually((space.results / "a" / "slow" / "harness" / "progress.json").exists, 120)
    space.plane.endpoints.popitem()[1].close()
    log = space.results / "a" / "slow" / "log.txt"
    eventually(lambda: "requests wait for it" in log.read_text(), 60)
    gate.touch()
    done = running.wait()
    assert done.returncode == 0, done.output
    assert space.result("a", "slow")["times"]["attempt"] == 1
    assert (space.plane.count("POST", "/deployments"), space.plane.count("POST", "/jobs")) == (2, 1)
    _is_clean(space)


def test_an_interrupted_run_leaves_nothing(space: LeptonWorkspace) -> None:
    running, _ = _two_at_work(space)
    running.signal(signal.SIGINT, group=True)
    done = running.wait()
    assert done.returncode == 1, done.output
    _is_clean(space)


def test_a_killed_run_goes_on_with_its_jobs_and_its_endpoint(space: LeptonWorkspace) -> None:
    running, gate = _two_at_work(space)
    running.signal(signal.SIGKILL)
    running.process.wait()
    clean = [SNAKEVAL, "clean", "--configfile", "test.yaml"]
    command = [*clean, "--dry-run"]
    listed = subprocess.run(command, cwd=space.folder, env=space.environ, capture_output=True, text=True, check=True)
    assert [line.split()[0] for line in listed.stdout.splitlines()] == ["endpoint", "secret", "job", "job"]
    again = space.start(cores=20)
    eventually(lambda: again.log.read_text().count("of an earlier call still lives: adopted") == 2, 120)
    gate.touch()
    done = again.wait()
    assert done.returncode == 0, done.output
    assert (space.plane.count("POST", "/jobs"), space.plane.count("POST", "/deployments")) == (2, 1)
    _is_clean(space)


def test_a_machine_without_the_volume_runs_the_tasks_itself(space: LeptonWorkspace) -> None:
    space.configure({"deployment": _served("a"), "execution": _execution(), "evaluation": {"tasks": [_sums("sums")]}})
    done = Workspace.run(space, "--profile", str(REPOSITORY / "profiles" / "local"))
    assert done.returncode == 0, done.output
    assert (space.plane.count("POST", "/deployments"), space.plane.count("POST", "/jobs")) == (1, 0)
    _is_clean(space)


def test_a_judge_is_an_endpoint_of_its_own(space: LeptonWorkspace) -> None:
    """Its key reaches the tasks' jobs as that of the evaluated endpoint does, by a file that is gone afterwards."""
    program = str(REPOSITORY / "tests" / "fakes" / "judged_task.py")
    judge = {key: value for key, value in _served("judge").items() if key != "name"}
    task = {"name": "one", "command": [sys.executable, program, "auxiliary_deployments.judge.chat_url"]}
    space.configure(
        {
            "deployment": _served("a"),
            "auxiliary_deployments": {"judge": judge},
            "execution": _execution(),
            "evaluation": {"tasks": [task], "limit": 2},
        }
    )
    done = space.run(cores=20)
    assert done.returncode == 0, done.output
    assert space.result("a", "one")["versions"]["judge"] == "m"
    _is_clean(space)
    _is_secret(space, done.output)
