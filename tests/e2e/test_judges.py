"""Runs with an auxiliary deployment: a judge on a real engine, one load for all tasks that use it."""

import json
import sys
from typing import Any

import psutil
from snakeval.system.processes import end_processes
from workspace import CHECKPOINT, REPOSITORY, Workspace, eventually

PROGRAM = str(REPOSITORY / "tests" / "fakes" / "judged_task.py")
URL = "auxiliary_deployments.judge.chat_url"


def _served(name: str, **keys: Any) -> dict[str, Any]:
    return {"type": "llamacpp", "checkpoint_path": CHECKPOINT, "served_model_name": name, **keys}


def _server_log(workspace: Workspace, name: str) -> str:
    return (workspace.results / name / "server" / "server.log").read_text()


def test_a_judge_is_loaded_once_for_all_that_use_it(workspace: Workspace) -> None:
    """Two deployments one after another, of whose tasks one needs the judge."""
    tasks = [{"name": "judged", "command": [sys.executable, PROGRAM, URL]}, "boolean_expressions"]
    workspace.configure(
        {
            "deployments": [_served("a"), _served("b")],
            "auxiliary_deployments": {"judge": _served("wise")},
            "evaluation": {"tasks": tasks, "limit": 2, "max_new_tokens": 4},
        }
    )
    planned = workspace.run("--dry-run")
    done = workspace.run()
    assert done.returncode == 0, done.output
    assert planned.plan == done.plan
    assert (done.plan["ready"], done.plan["ready_auxiliary"], done.plan["teardown"]) == (4, 2, 3)
    assert workspace.servers() == []
    for name in ("a", "b", "judge"):
        assert _server_log(workspace, name).count("load_model: loading model") == 1
    for name in ("a", "b"):
        result = workspace.result(name, "judged")
        assert result["versions"]["judge"] == "wise"
        assert result["fingerprint"]["components"]["task"]["auxiliaries.judge"]
        assert (
            "auxiliaries.judge"
            not in workspace.result(name, "boolean_expressions")["fingerprint"]["components"]["task"]
        )
    assert not (workspace.results / "judge" / "server" / "secrets.json").exists()
    assert {path.parent.parent.name for path in workspace.results.glob("*/*/result.json")} == {"a", "b"}
    assert workspace.run().plan == {}


def test_a_judge_that_dies_fails_the_attempt_and_comes_back(workspace: Workspace) -> None:
    gate = workspace.folder / "gate"
    workspace.configure(
        {
            "deployment": _served("a"),
            "execution": {"max_restarts": 0},
            "auxiliary_deployments": {"judge": _served("wise")},
            "evaluation": {
                "tasks": [{"name": "judged", "command": [sys.executable, PROGRAM, URL, str(gate)]}],
                "limit": 1,
            },
        }
    )
    running = workspace.start("--retries", "1")
    task = workspace.results / "a" / "judged"
    eventually(lambda: (task / "harness" / "progress.json").exists(), 120, "the judge's first answer")
    state = json.loads((workspace.results / "judge" / "server" / "state.json").read_text())
    end_processes([psutil.Process(state["pid"])], 0)
    eventually(lambda: "the server of judge died" in (task / "log.txt").read_text(), 60, "the failure")
    gate.touch()
    done = running.wait()
    assert done.returncode == 0, done.output
    assert workspace.result("a", "judged")["times"]["attempt"] == 2
    assert _server_log(workspace, "a").count("load_model: loading model") == 1
    assert workspace.servers() == []


def test_a_judge_that_cannot_start_fails_its_tasks_alone(workspace: Workspace) -> None:
    tasks = [{"name": "judged", "command": [sys.executable, PROGRAM, URL]}, "boolean_expressions"]
    workspace.configure(
        {
            "deployment": _served("a"),
            "auxiliary_deployments": {
                "judge": {"type": "generic", "command": "echo no such judge >&2; exit 3", "served_model_name": "wise"}
            },
            "execution": {"max_restarts": 0},
            "evaluation": {"tasks": tasks, "limit": 2, "max_new_tokens": 4},
        }
    )
    done = workspace.run("--keep-going")
    assert done.returncode == 1
    assert workspace.result("a", "boolean_expressions")["samples"]["answered"] == 2
    report = done.output[done.output.index("missing: a/judged") :]
    assert "no such judge" in report
    assert "judge/a@judged/ready.log" in report
    assert workspace.servers() == []
