"""A score is a score: what goes wrong between a task and its endpoint is a failed task, never a number."""

import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest
from fakes.openai_server import FakeOpenAIServer
from workspace import CHECKPOINT, REPOSITORY, Finished, Workspace, command_of, eventually

FAKE = str(REPOSITORY / "tests" / "fakes" / "openai_server.py")
TASK = {"name": "boolean_expressions", "limit": 20, "max_retries": 1}


def _existing(url: str, model: str = "fake-model") -> dict[str, Any]:
    return {
        "deployment": {"type": "none", "name": "there"},
        "target": {"api_endpoint": {"url": url, "model_id": model}},
        "evaluation": {"tasks": [TASK]},
    }


def _assert_no_score(workspace: Workspace, done: Finished, deployment: str, message: str) -> None:
    assert done.returncode == 1, done.output
    assert message in done.output
    assert "Traceback" not in done.output
    assert not (workspace.results / deployment / "boolean_expressions" / "result.json").exists()
    assert f"missing: {deployment}/boolean_expressions" in done.output


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("status:500", "answered HTTP 500: "),
        ("status-if:500:True", "got no answer: server error"),
        ("status-fraction:500:0.1", "of 20 samples got no answer: server error"),
        ("null-if:True", "got no answer: "),
        ("empty-choices", "answered without choices"),
        ("not-json", "answered something that is no JSON object"),
        ("die-after:5", "got no answer: "),
    ],
)
def test_a_faulty_endpoint_gives_no_score(workspace: Workspace, fault: str, message: str) -> None:
    with FakeOpenAIServer(faults=(fault,)) as server:
        workspace.configure(_existing(server.base_url))
        done = workspace.run("--retries", "0")
    _assert_no_score(workspace, done, "there", message)


def test_a_wrong_model_name_is_told(workspace: Workspace) -> None:
    with FakeOpenAIServer() as server:
        workspace.configure(_existing(server.base_url, model="other"))
        done = workspace.run("--retries", "0")
        _assert_no_score(workspace, done, "there", "does not serve the model 'other'; it serves: fake-model")
        assert server.payloads == []


def test_an_endpoint_that_is_not_there_is_told(workspace: Workspace) -> None:
    with FakeOpenAIServer() as server:
        url = server.base_url
    workspace.configure(_existing(url))
    _assert_no_score(workspace, workspace.run("--retries", "0"), "there", "does not answer: connection refused or lost")


def test_a_healthy_endpoint_gives_one(workspace: Workspace) -> None:
    with FakeOpenAIServer(faults=("status-every:503:3",)) as server:
        workspace.configure(_existing(server.base_url) | {"evaluation": {"tasks": [TASK | {"max_retries": 5}]}})
        done = workspace.run("--retries", "2")
    assert done.returncode == 0, done.output
    result = workspace.result("there", "boolean_expressions")
    assert result["samples"] == {"asked": 20, "answered": 20, "failed": 0}
    assert result["requests"]["retried"] > 0


@pytest.mark.parametrize("limit", [None, 3])
def test_tasks_share_what_a_deployment_can_take(workspace: Workspace, limit: int | None) -> None:
    """Three tasks of two requests each: all at once without a limit, one after another within three."""
    names = ("boolean_expressions", "capitals", "antonyms")
    tasks = [{**TASK, "limit": 6, "parallelism": 2, "name": name} for name in names]
    with FakeOpenAIServer(faults=("slow:1.5",)) as server:
        plan = _existing(server.base_url)
        plan["deployment"]["max_concurrency"] = limit
        workspace.configure(plan | {"evaluation": {"tasks": tasks}})
        done = workspace.run(cores=3)
    assert done.returncode == 0, done.output
    times = [workspace.result("there", name)["times"] for name in names]
    at_once = [sum(other["started_at"] <= one["started_at"] < other["ended_at"] for other in times) for one in times]
    assert max(at_once) == (1 if limit else 3)


def test_a_stranger_on_the_port_is_not_taken_for_ours(workspace: Workspace) -> None:
    deployment = {"type": "llamacpp", "name": "smol", "checkpoint_path": CHECKPOINT, "served_model_name": "fake-model"}
    with FakeOpenAIServer() as stranger:
        workspace.configure({"deployment": deployment | {"port": stranger.port}, "evaluation": {"tasks": [TASK]}})
        done = workspace.run("--retries", "0")
        assert stranger.payloads == []
    message = f"deployment smol: port is taken by another server of this machine\n  got:      {stranger.port}"
    _assert_no_score(workspace, done, "smol", message)


def test_a_server_that_listens_elsewhere_is_not_ready(workspace: Workspace) -> None:
    """The process that we started lives, and a stranger answers on the port that it was given."""
    program = "import os, sys; sys.argv = ['', '--port', '0']; exec(open(os.environ['FAKE']).read())"
    workspace.configure(
        {
            "deployment": {
                "type": "generic",
                "name": "smol",
                "served_model_name": "fake-model",
                "command": [sys.executable, "-c", program],
                "env_vars": {"FAKE": f"lit:{FAKE}"},
            },
            "execution": {"type": "local", "readiness_timeout_s": 5},
            "evaluation": {"tasks": [TASK]},
        }
    )
    done = workspace.run("--retries", "0")
    _assert_no_score(workspace, done, "smol", "was not ready within execution.readiness_timeout_s (5 s)")
    assert workspace.servers() == []


def test_a_server_that_cannot_start_says_why_and_is_started_once_per_attempt(workspace: Workspace) -> None:
    bad = workspace.folder / "bad.gguf"
    bad.write_bytes(b"not a model")
    workspace.configure(
        {
            "deployment": {"type": "llamacpp", "name": "smol", "checkpoint_path": str(bad)},
            "evaluation": {"tasks": ["boolean_expressions", "last_letter", "arithmetic_2digit"]},
        }
    )
    done = workspace.run("--retries", "1")
    _assert_no_score(workspace, done, "smol", "the server of smol did not start: the server ended with status 1")
    log = (workspace.results / "smol" / "server" / "server.log").read_text()
    assert log.count("start 1: process") == 2, "two attempts, three tasks"


def test_a_server_killed_in_the_middle_of_lm_eval(workspace: Workspace) -> None:
    workspace.configure(
        {
            "deployment": {
                "type": "llamacpp",
                "name": "smol",
                "checkpoint_path": CHECKPOINT,
                "served_model_name": "smol",
            },
            "execution": {"type": "local", "max_restarts": 0},
            "evaluation": {"tasks": [TASK | {"limit": 100, "parallelism": 2}]},
        }
    )
    running = workspace.start("--retries", "0")
    journal = workspace.results / "smol" / "boolean_expressions" / "journal.jsonl"
    eventually(lambda: journal.exists() and journal.read_bytes().count(b'"type":"answer"') >= 3, 120)
    for process in workspace.servers():
        if "supervise.py" not in " ".join(command_of(process)):
            os.kill(process.pid, signal.SIGKILL)
    _assert_no_score(workspace, running.wait(), "smol", "the server of smol died while the task ran")


def test_a_planted_key_is_nowhere(workspace: Workspace) -> None:
    """The endpoint's key, from the caller's environment, and the key of our own server."""
    planted = "sk-planted-0123456789"
    workspace.environ["PLANTED_KEY"] = planted
    seen: set[str] = set()
    with FakeOpenAIServer(api_key=planted) as server:
        config = _existing(server.base_url)
        config["target"]["api_endpoint"]["api_key_name"] = "PLANTED_KEY"
        config["deployments"] = [
            {**config.pop("deployment")},
            {
                "type": "llamacpp",
                "name": "smol",
                "checkpoint_path": CHECKPOINT,
                "served_model_name": "smol",
                "env_vars": {"SOME_TOKEN": "host:PLANTED_KEY"},
            },
        ]
        workspace.configure(config)
        running = workspace.start()
        secrets = workspace.results / "smol" / "server" / "secrets.json"
        while running.process.poll() is None:
            seen.update(workspace.command_lines())
            if secrets.exists():
                assert secrets.stat().st_mode & 0o777 == 0o600
        done = running.wait()
    assert done.returncode == 0, done.output
    assert seen
    assert not secrets.exists(), "the secrets end with the server"
    assert planted not in "".join(seen) + done.output
    for path in workspace.folder.rglob("*"):
        if path.is_file():
            assert planted.encode() not in path.read_bytes(), path
    assert "PLANTED_KEY" in Path(workspace.results / "config.resolved.yaml").read_text()
