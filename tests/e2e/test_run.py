"""Whole runs on real parts: one server for all tasks, several deployments, the commands that users type."""

import gzip
import json
import re
import socket
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from datasets_like import write_gsm8k
from workspace import CHECKPOINT, REPOSITORY, Workspace

PROGRAM = str(REPOSITORY / "tests" / "fakes" / "command_task.py")
DEMO_TASKS = sorted(path.stem for path in (REPOSITORY / "config" / "tasks").glob("*.yaml"))


def _smol(name: str = "smol", **keys: Any) -> dict[str, Any]:
    return {"type": "llamacpp", "name": name, "checkpoint_path": CHECKPOINT, "served_model_name": "smol", **keys}


def _span(result: dict[str, Any]) -> tuple[datetime, datetime]:
    return tuple(datetime.fromisoformat(result["times"][name]) for name in ("started_at", "ended_at"))  # type: ignore[return-value]


def test_ten_tasks_load_the_model_once_and_run_side_by_side(workspace: Workspace) -> None:
    assert len(DEMO_TASKS) == 10
    workspace.configure({"deployment": _smol(), "evaluation": {"tasks": DEMO_TASKS, "limit": 4, "max_new_tokens": 4}})
    planned = workspace.run("--dry-run")
    done = workspace.run(cores=2)
    assert done.returncode == 0, done.output
    assert planned.plan == done.plan
    log = (workspace.results / "smol" / "server" / "server.log").read_text()
    assert log.count("load_model: loading model") == 1
    results = [workspace.result("smol", task) for task in DEMO_TASKS]
    assert all(result["samples"] == {"asked": 4, "answered": 4, "failed": 0} for result in results)
    spans = [_span(result) for result in results]
    moments = [sum(begin <= start < end for begin, end in spans) for start, _ in spans]
    assert max(moments) == 2, "two cores: two tasks at a time"
    number = r"\d\.\d{4}"
    for task in DEMO_TASKS:
        row = rf"^smol +{task} +exact_match.* +{number}\*? +{number} +{number} to {number} +4 +4$"
        assert re.search(row, done.output, re.MULTILINE), done.output


@pytest.mark.parametrize("cores", [1, 2, 4])
def test_deployments_come_one_after_another(workspace: Workspace, cores: int) -> None:
    """A retry included, and a task that fails for good on the first deployment."""
    once = workspace.folder / "once"
    program = f'exec "{sys.executable}" "{PROGRAM}"'
    flaky = f'mark="{once}.$SNAKEVAL_MODEL"; test -e "$mark" || {{ touch "$mark"; exit 1; }}; {program}'
    bad = f'test "$SNAKEVAL_MODEL" = second && {program}; exit 1'
    tasks = [
        {"name": "plain", "command": [sys.executable, PROGRAM]},
        {"name": "flaky", "command": flaky},
        {"name": "bad", "command": bad},
    ]
    deployments = [_smol("a") | {"served_model_name": "first"}, _smol("b") | {"served_model_name": "second"}]
    workspace.configure({"deployments": deployments, "evaluation": {"tasks": tasks, "limit": 2}})
    done = workspace.run("--retries", "1", cores=cores)
    assert done.returncode == 1
    assert workspace.servers() == []
    results = {f"{name}/{task}" for name in "ab" for task in ("plain", "flaky", "bad")}
    existing = {path for path in results if (workspace.results / path / "result.json").exists()}
    assert existing == results - {"a/bad"}, done.output
    lives = []
    for name in "ab":
        log = (workspace.results / name / "server" / "server.log").read_text()
        assert log.count("start 1: process") == 1, "one load for each deployment"
        lives.append(_span_of_server(workspace.results / name / "server"))
    assert lives[0][1] <= lives[1][0], "the second server starts after the first has ended"


def _span_of_server(folder: Path) -> tuple[float, float]:
    state = json.loads((folder / "state.json").read_text())
    return state["started_at"], state["updated_at"]


def test_protocols_repeats_and_a_fixed_port(workspace: Workspace) -> None:
    tasks = [
        {"name": "plain", "task": "capitals", "protocol": "completions"},
        {"name": "sampled", "task": "antonyms", "repeats": 3, "temperature": 0.8},
    ]
    workspace.configure({"deployment": _smol(), "evaluation": {"tasks": tasks, "limit": 4}})
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    done = workspace.run("--config", f"deployment.port={port}")
    assert done.returncode == 0, done.output
    assert json.loads((workspace.results / "smol" / "server" / "teardown.json").read_text())["port"] == port
    assert workspace.result("smol", "plain")["protocol"] == "completions"
    sampled = workspace.result("smol", "sampled")
    assert (sampled["requests"]["sent"], sampled["metrics"][0]["n"]) == (12, 4)
    with gzip.open(workspace.results / "smol" / "sampled" / "samples.jsonl.gz", "rt") as stream:
        samples = [json.loads(line) for line in stream]
    assert sorted((one["doc_id"], one["repeat"]) for one in samples) == [(d, r) for d in range(4) for r in range(3)]
    assert len({one["answer"] for one in samples}) > 4, "repeats are generated anew"


def test_gsm8k_as_lm_eval_ships_it(workspace: Workspace) -> None:
    """The unmodified task, on data in the form of the real one."""
    write_gsm8k(workspace.folder / "data" / "openai" / "gsm8k")
    workspace.environ["HF_HUB_OFFLINE"] = "1"
    workspace.configure(
        {
            "deployment": _smol(max_model_len=4096, max_num_seqs=4),
            "evaluation": {
                "data_dir": "data",
                "tasks": [{"name": "gsm8k", "limit": 10, "max_new_tokens": 32, "num_fewshot": 2}],
            },
        }
    )
    done = workspace.run()
    assert done.returncode == 0, done.output
    result = workspace.result("smol", "gsm8k")
    assert result["samples"]["answered"] == 10
    assert {metric["filter"] for metric in result["metrics"]} == {"strict-match", "flexible-extract"}
    assert all(metric["n"] == 10 for metric in result["metrics"])


def test_wrong_configuration_is_four_lines_and_status_one(workspace: Workspace) -> None:
    workspace.configure(
        {"deployment": _smol(tensor_parallel_sise=2), "evaluation": {"tasks": ["boolean_expresions"]}, "evalution": {}}
    )
    done = workspace.run()
    assert done.returncode == 1
    assert "Traceback" not in done.output
    assert done.output.count("error: ") == 3
    assert "did you mean boolean_expressions?" in done.output
    assert not (workspace.folder / "results").exists()
