"""The command `snakeval` beside a running Snakemake: what it shows is true, and what it stops has ended."""

import json
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

from workspace import CHECKPOINT, REPOSITORY, SNAKEVAL, Workspace, eventually

PROGRAM = str(REPOSITORY / "tests" / "fakes" / "command_task.py")
NAMES = [f"task{number}" for number in range(10)]


def _snakeval(*words: str) -> list[str]:
    return [SNAKEVAL, *words, "--configfile", "test.yaml"]


def _call(workspace: Workspace, *words: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        _snakeval(*words), cwd=workspace.folder, env=workspace.environ, capture_output=True, text=True, timeout=120
    )


def _status(workspace: Workspace) -> dict[str, Any]:
    done = _call(workspace, "status", "--json")
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


def _config(workspace: Workspace, deployments: Sequence[str], tasks: Sequence[str], **execution: Any) -> None:
    command = [sys.executable, PROGRAM, "--wait", str(workspace.folder / "gate")]
    served = {"type": "llamacpp", "checkpoint_path": CHECKPOINT, "served_model_name": "smol"}
    workspace.configure(
        {
            "deployments": [{"name": name, **served} for name in deployments],
            "execution": {"type": "local", **execution},
            "evaluation": {"tasks": [{"name": name, "command": command} for name in tasks], "limit": 3},
        }
    )


def _all_wait(workspace: Workspace, count: int) -> dict[str, Any] | None:
    """Return the status once so many tasks have one of three answers, and wait for the gate."""
    if len(list(workspace.results.glob("*/*/harness/progress.json"))) < count:
        return None
    status = _status(workspace)
    waiting = [(task["done"], task["total"]) for task in status["tasks"] if task["state"] == "running"]
    return status if waiting == [(1, 3)] * count else None


def test_ten_tasks_are_shown_followed_and_stopped(workspace: Workspace) -> None:
    _config(workspace, ["smol"], NAMES)
    assert _status(workspace)["snakemake"]["state"] == "not begun"
    assert not workspace.results.exists(), "looking writes nothing"
    running = workspace.start(cores=10)
    status = eventually(lambda: _all_wait(workspace, 10), 120, "ten running tasks")
    assert status["counts"] == {"queued": 0, "running": 10, "succeeded": 0, "failed": 0}
    assert status["snakemake"]["pid"] == running.process.pid
    server = status["servers"][0]
    assert (server["state"], server["restarts"]) == ("READY", 0)
    assert server["address"].startswith("127.0.0.1:")
    assert "10 tasks: 10 running" in _call(workspace, "status").stdout
    plan = json.loads(_call(workspace, "plan", "--json").stdout)
    assert (plan["total"]["tasks"], plan["total"]["tasks_without_data"]) == (10, 10)

    follower = subprocess.Popen(
        _snakeval("logs", "smol", "--follow"), cwd=workspace.folder, stdout=subprocess.PIPE, text=True
    )
    stopped = _call(workspace, "stop")
    assert stopped.returncode == 0, stopped.stderr
    assert f"Snakemake (process {running.process.pid}) has ended: interrupted" in stopped.stdout
    assert running.wait(30).returncode == 1
    assert workspace.servers() == []
    followed = follower.communicate(timeout=30)[0]
    log = (workspace.results / "smol" / "server" / "server.log").read_text(encoding="utf-8")
    assert followed and log.endswith(followed), "up to the last word of the server"
    assert follower.returncode == 0
    after = _status(workspace)
    assert after["snakemake"]["state"] == "interrupted"
    assert after["counts"]["queued"] == 10
    assert {task["reason"] for task in after["tasks"]} == {"interrupted"}
    again = _call(workspace, "stop")
    assert (again.returncode, again.stdout) == (0, "no Snakemake works on run test\nno server of smol is left\n")


def test_one_deployment_is_stopped_and_the_other_goes_on(workspace: Workspace) -> None:
    _config(workspace, ["one", "two"], ["sums"], max_deployments=2)
    running = workspace.start("--retries", "1")
    eventually(lambda: _all_wait(workspace, 2), 120, "two running tasks")
    done = _call(workspace, "stop", "one")
    assert done.returncode == 0, done.stderr
    assert "the server of one on 127.0.0.1:" in done.stdout
    failed = eventually(lambda: (now := _status(workspace))["counts"]["failed"] == 1 and now, 60)
    states = {task["deployment"]: (task["state"], task["reason"]) for task in failed["tasks"]}
    assert states["two"][0] == "running"
    assert states["one"][0] == "failed"
    assert "was stopped by `snakeval stop one`" in states["one"][1]
    (workspace.folder / "gate").touch()
    ended = running.wait()
    assert ended.returncode == 1
    assert workspace.result("two", "sums")["samples"]["answered"] == 3
    assert workspace.run("--dry-run").plan == {
        "ready": 1,
        "evaluate": 1,
        "teardown": 1,
        "aggregate": 1,
        "report": 1,
        "all": 1,
    }
