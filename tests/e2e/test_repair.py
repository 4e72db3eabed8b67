"""Repeating the command repairs a run: after failed tasks, after signals, after dead servers; on real parts."""

import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest
from fakes.openai_server import FakeOpenAIServer
from workspace import CHECKPOINT, REPOSITORY, Workspace, command_of, eventually

PROGRAM = str(REPOSITORY / "tests" / "fakes" / "command_task.py")
REPAIR_PLAN = {"ready": 1, "evaluate": 1, "teardown": 1, "aggregate": 1, "report": 1, "all": 1}


def _sums(name: str, *arguments: str) -> dict[str, Any]:
    return {"name": name, "command": [sys.executable, PROGRAM, *arguments]}


def _config(*tasks: dict[str, Any] | str, **execution: Any) -> dict[str, Any]:
    return {
        "deployment": {"type": "llamacpp", "name": "smol", "checkpoint_path": CHECKPOINT, "served_model_name": "smol"},
        "execution": {"type": "local", **execution},
        "evaluation": {"tasks": list(tasks), "limit": 3},
    }


def _stamps(workspace: Workspace, *tasks: str) -> dict[str, tuple[bytes, int]]:
    files = [workspace.results / "smol" / task / name for task in tasks for name in ("result.json", "samples.jsonl.gz")]
    return {str(file): (file.read_bytes(), file.stat().st_mtime_ns) for file in files}


def test_only_the_failed_task_runs_again(workspace: Workspace) -> None:
    cure = workspace.folder / "cure"
    workspace.configure(_config(_sums("one"), _sums("two"), _sums("sick", "--need", str(cure))))
    first = workspace.run()
    assert first.returncode == 1
    assert workspace.servers() == []
    assert "missing: smol/sick" in first.output
    assert "cure is missing" in first.output
    assert "missing" in (workspace.results / "summary.md").read_text()
    page = (workspace.results / "report.html").read_text()
    assert 'id="failures"' in page
    assert "<b>smol / sick</b>" in page
    assert "cure is missing" in page
    before = _stamps(workspace, "one", "two")

    cure.touch()
    assert workspace.run("--dry-run").plan == REPAIR_PLAN
    second = workspace.run()
    assert second.returncode == 0, second.output
    assert second.plan == REPAIR_PLAN
    assert _stamps(workspace, "one", "two") == before
    assert "missing" not in (workspace.results / "summary.md").read_text()
    assert 'id="failures"' not in (workspace.results / "report.html").read_text()
    assert "Nothing to be done" in workspace.run("--dry-run").output


def test_a_report_that_cannot_be_written_hides_no_failure(workspace: Workspace) -> None:
    # Found before the real one, because Snakemake is started as a module.
    (workspace.folder / "altair.py").write_text("raise RuntimeError('no charts today')\n")
    with FakeOpenAIServer("tiny") as server:
        endpoint = {"type": "none", "name": "there", "url": server.base_url, "model_id": "tiny"}
        sick = _sums("sick", "--need", str(workspace.folder / "cure"))
        workspace.configure({"deployment": endpoint, "evaluation": {"tasks": [sick], "limit": 1}})
        done = workspace.run("--retries", "0")
    assert done.returncode == 1
    assert "missing: there/sick" in done.output
    assert "cure is missing" in done.output
    assert "notice: no report was written: no charts today" in done.output
    assert "Traceback" not in done.output
    assert not (workspace.results / "report.html").exists()


@pytest.mark.parametrize(
    ("number", "group"),
    [
        (signal.SIGINT, False),
        (signal.SIGINT, True),  # what a terminal does on Ctrl-C
        (signal.SIGTERM, False),
        (signal.SIGHUP, False),
        (signal.SIGKILL, False),
    ],
)
def test_a_signal_leaves_no_server_and_loses_nothing(workspace: Workspace, number: signal.Signals, group: bool) -> None:
    gate = workspace.folder / "gate"
    workspace.configure(_config(_sums("fast"), _sums("slow", "--wait", str(gate)), idle_timeout_s=5))
    running = workspace.start()
    slow = workspace.results / "smol" / "slow" / "harness" / "progress.json"
    fast = workspace.results / "smol" / "fast"

    def one_ended_one_runs() -> bool:
        # Snakemake knows that a task has ended when it has removed the lease; a moment earlier it would run it again.
        return slow.exists() and (fast / "result.json").exists() and not (fast / "lease.json").exists()

    eventually(one_ended_one_runs, 120)
    before = _stamps(workspace, "fast")
    running.signal(number, group)
    status = running.wait(60).returncode
    assert status == (1 if number is not signal.SIGKILL else -signal.SIGKILL)
    eventually(lambda: workspace.servers() == [], 30, "the server's end")
    eventually(
        lambda: [one for one in workspace.processes() if PROGRAM in " ".join(command_of(one))] == [],
        30,
        "the task's end",
    )

    gate.touch()
    assert workspace.run("--dry-run").plan == REPAIR_PLAN
    second = workspace.run()
    assert second.returncode == 0, second.output
    assert second.plan == REPAIR_PLAN
    assert _stamps(workspace, "fast") == before


def _kill_server(workspace: Workspace, supervisor_too: bool) -> None:
    for process in workspace.servers():
        if supervisor_too or "supervise.py" not in " ".join(command_of(process)):
            os.kill(process.pid, signal.SIGKILL)


@pytest.mark.parametrize("supervisor_too", [False, True], ids=["server", "server and supervisor"])
def test_a_task_goes_on_when_its_server_comes_back(workspace: Workspace, supervisor_too: bool) -> None:
    gate = workspace.folder / "gate"
    workspace.configure(_config(_sums("slow", "--wait", str(gate))))
    running = workspace.start()
    eventually((workspace.results / "smol" / "slow" / "harness" / "progress.json").exists, 120)
    _kill_server(workspace, supervisor_too)
    log = workspace.results / "smol" / "slow" / "log.txt"
    eventually(lambda: "the server of smol is back" in log.read_text(), 60)
    gate.touch()
    done = running.wait()
    assert done.returncode == 0, done.output
    assert "died while the task ran" not in done.output or supervisor_too
    assert workspace.result("smol", "slow")["times"]["attempt"] == 1


def test_a_server_that_keeps_dying_is_a_failed_task_and_not_a_score(workspace: Workspace) -> None:
    workspace.configure(_config(_sums("slow", "--wait", str(workspace.folder / "never")), max_restarts=0))
    running = workspace.start("--retries", "0")
    eventually((workspace.results / "smol" / "slow" / "harness" / "progress.json").exists, 120)
    _kill_server(workspace, supervisor_too=False)
    done = running.wait()
    assert done.returncode == 1
    assert "the server of smol died while the task ran (the server was killed by SIGKILL)" in done.output
    assert not (workspace.results / "smol" / "slow" / "result.json").exists()


def test_an_interrupted_lm_eval_task_resumes(workspace: Workspace) -> None:
    config = _config({"name": "boolean_expressions", "limit": 60, "max_new_tokens": 8, "parallelism": 2})
    workspace.configure(config)
    running = workspace.start()
    journal = workspace.results / "smol" / "boolean_expressions" / "journal.jsonl"
    eventually(lambda: journal.exists() and journal.read_bytes().count(b'"type":"answer"') >= 5, 120)
    running.signal(signal.SIGKILL)
    running.wait(60)
    runner = "snakeval_runners.lm_eval"
    eventually(lambda: [one for one in workspace.processes() if runner in " ".join(command_of(one))] == [], 30)
    done = workspace.run()
    assert done.returncode == 0, done.output
    result = workspace.result("smol", "boolean_expressions")
    assert result["requests"]["resumed"] >= 5
    assert result["requests"]["sent"] + result["requests"]["resumed"] == 60
    assert result["samples"] == {"asked": 60, "answered": 60, "failed": 0}


def test_a_second_snakemake_on_the_same_run_is_refused(workspace: Workspace) -> None:
    gate = workspace.folder / "gate"
    workspace.configure(_config(_sums("slow", "--wait", str(gate))))
    running = workspace.start()
    eventually((workspace.results / "smol" / "slow" / "harness" / "progress.json").exists, 120)
    second = workspace.run("--nolock")
    assert second.returncode == 1
    assert "another Snakemake is working on run test" in second.output
    assert workspace.run("--dry-run").returncode == 0
    assert len(workspace.servers()) == 2, "supervisor and server of the first call"
    gate.touch()
    assert running.wait().returncode == 0


def test_leftovers_of_a_deleted_result_and_environment(workspace: Workspace) -> None:
    workspace.configure(_config(_sums("one"), _sums("two")))
    assert workspace.run().returncode == 0
    Path(workspace.results / "smol" / "one" / "result.json").unlink()
    assert workspace.run("--dry-run").plan == REPAIR_PLAN
