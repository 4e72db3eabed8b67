"""Harness `inspect` on a real server: its numbers are those of `inspect eval` called by hand."""

import gzip
import json
import os
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

from datasets_like import write_gsm8k
from fakes.openai_server import FakeOpenAIServer
from workspace import CHECKPOINT, REPOSITORY, Workspace, command_of, eventually

BY_HAND = str(REPOSITORY / "tests" / "fakes" / "inspect_by_hand.py")
TASKS = REPOSITORY / "config" / "examples" / "inspect"
SMOL = {"type": "llamacpp", "name": "smol", "checkpoint_path": CHECKPOINT, "served_model_name": "smol"}
# One request at a time, nothing kept of the one before: the same answers in whatever order they are asked for.
REPEATABLE = {"max_num_seqs": 1, "cache_prompt": False}


def _field(workspace: Workspace, task: str, name: str) -> dict[Any, str]:
    path = workspace.results / "smol" / task / "samples.jsonl.gz"
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return {sample["doc_id"]: sample[name] for sample in map(json.loads, lines)}


def _answers(workspace: Workspace, task: str) -> dict[Any, str]:
    return _field(workspace, task, "answer")


def test_the_numbers_are_those_of_inspect_called_by_hand(workspace: Workspace, inspect_python: Path) -> None:
    by_hand = [sys.executable, BY_HAND, str(inspect_python.with_name("inspect")), f"{TASKS}/arithmetic.py@arithmetic"]
    workspace.configure(
        {
            "deployment": SMOL | REPEATABLE,
            "evaluation": {
                "task_dirs": [str(TASKS)],
                "tasks": ["inspect.arithmetic", {"name": "by-hand", "command": by_hand}],
                "limit": 10,
                "temperature": 0,
                "max_new_tokens": 16,
            },
        }
    )
    planned = workspace.run("--dry-run")
    done = workspace.run(cores=2)
    assert done.returncode == 0, done.output
    assert planned.plan == done.plan
    ours, theirs = workspace.result("smol", "inspect.arithmetic"), workspace.result("smol", "by-hand")
    (metric,), (expected,) = ours["metrics"], theirs["metrics"]
    assert 0 < metric["value"] < 1, "equal numbers say something"
    assert (metric["value"], metric["stderr"], metric["n"]) == (expected["value"], expected["stderr"], 10)
    assert (metric["name"], metric["filter"]) == ("accuracy", "pattern")
    assert ours["samples"] == {"asked": 10, "answered": 10, "failed": 0}
    answers = _answers(workspace, "inspect.arithmetic")
    assert answers == _answers(workspace, "by-hand")
    assert len(answers) == 10
    assert all(answers.values())
    assert ours["versions"]["inspect_ai"] == "0.3.285"
    assert "inspect.arithmetic" in done.output


def test_inspect_evals_on_a_copy_of_its_data_is_as_by_hand(workspace: Workspace, inspect_evals_python: Path) -> None:
    copy = write_gsm8k(workspace.folder / "data" / "openai" / "gsm8k" / "main")
    inspect = str(inspect_evals_python.with_name("inspect"))
    by_hand = [sys.executable, BY_HAND, inspect, "inspect_evals/gsm8k", "-T", "fewshot=0"]
    workspace.configure(
        {
            "deployment": SMOL | REPEATABLE,
            "evaluation": {
                "data_dir": "data",
                "env_vars": {"HF_HUB_OFFLINE": "lit:1"},
                "tasks": [
                    {"name": "inspect_evals.gsm8k", "extra": {"fewshot": 0}},
                    {"name": "by-hand", "command": by_hand},
                ],
                "limit": 4,
                "temperature": 0,
                "max_new_tokens": 48,
            },
        }
    )
    done = workspace.run(cores=2)
    assert done.returncode == 0, done.output
    ours, theirs = workspace.result("smol", "inspect_evals.gsm8k"), workspace.result("smol", "by-hand")
    (metric,), (expected,) = ours["metrics"], theirs["metrics"]
    assert (metric["value"], metric["stderr"], metric["n"]) == (expected["value"], expected["stderr"], 4)
    assert ours["samples"] == {"asked": 4, "answered": 4, "failed": 0}
    assert ours["versions"]["inspect_evals"] == "0.26.0"
    # A small model may have all wrong; equal answers say more than equal numbers.
    answers = _answers(workspace, "inspect_evals.gsm8k")
    assert answers == _answers(workspace, "by-hand")
    assert len(set(answers.values())) == 4
    questions = [json.loads(line)["question"] for line in (copy / "test.jsonl").open(encoding="utf-8")]
    prompts = _field(workspace, "inspect_evals.gsm8k", "prompt").values()
    # Inspect keeps long texts aside; here they are in their place.
    assert all(any(question in prompt for question in questions) for prompt in prompts)


def test_a_killed_task_resumes_and_a_change_of_its_data_measures_again(workspace: Workspace) -> None:
    (workspace.folder / "sums").mkdir()
    text = (TASKS / "arithmetic.py").read_text().replace("../../tasks/data/", "")
    (workspace.folder / "sums" / "arithmetic.py").write_text(text)
    data = workspace.folder / "sums" / "arithmetic_2digit.jsonl"
    shutil.copy(REPOSITORY / "config" / "tasks" / "data" / "arithmetic_2digit.jsonl", data)
    task = {"name": "inspect.arithmetic", "limit": 12, "parallelism": 2}
    evaluation = {"task_dirs": ["sums"], "tasks": [task]}
    target = {"deployment": {"type": "none", "name": "there"}, "evaluation": evaluation}
    with FakeOpenAIServer(faults=("hold-after:5",)) as server:
        config = target | {"target": {"api_endpoint": {"url": server.base_url, "model_id": "fake-model"}}}
        workspace.configure(config)
        running = workspace.start("--retries", "0")
        server.wait_for_requests(7, 120)
        for process in workspace.processes():
            if "snakeval_runners.inspect" in command_of(process):
                os.kill(process.pid, signal.SIGKILL)
        killed = running.wait()
        assert killed.returncode == 1
        assert "Inspect was killed by SIGKILL" in killed.output
        journal = workspace.results / "there" / "inspect.arithmetic" / "journal.jsonl"
        answered = journal.read_bytes().count(b'"type":"answer"')
        assert answered >= 1
        server.faults = ()
        server.release()
        before = len(server.payloads)
        done = workspace.run("--retries", "0")
        assert done.returncode == 0, done.output
        requests = {"sent": 12 - answered, "resumed": answered, "retried": 0}
        assert workspace.result("there", "inspect.arithmetic")["requests"] == requests
        # Snakeval's own probes hold no question.
        asked = [payload for payload in server.payloads[before:] if "What is" in json.dumps(payload)]
        assert len(asked) == 12 - answered
        assert workspace.run("--dry-run").plan == {}
        data.write_text(data.read_text().replace("23 + 65", "24 + 65"))
        assert workspace.run("--dry-run").plan.get("evaluate") == 1
    eventually(lambda: not any("snakeval_runners.inspect" in command_of(process) for process in workspace.processes()))
