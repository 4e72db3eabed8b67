"""Comparisons and gates in whole runs: what is found, what is refused, and what the status says."""

import json
import sys
from typing import Any

from fakes.openai_server import FakeOpenAIServer
from workspace import CHECKPOINT, REPOSITORY, Workspace

PROGRAM = str(REPOSITORY / "tests" / "fakes" / "thousand_answers.py")
TASK = {"name": "thousand", "command": [sys.executable, PROGRAM]}
POLICY = "tasks: [{match: '*', tier: %s, max_drop: 0.02}]\n"


def _comparison(workspace: Workspace, name: str) -> dict[str, Any]:
    file = workspace.results / "compare" / f"{name}.json"
    return dict(json.loads(file.read_text(encoding="utf-8")))


def test_a_spoiled_copy_is_found_and_stopped_by_the_gate(workspace: Workspace) -> None:
    policy = workspace.folder / "policy.yaml"
    policy.write_text(POLICY % "critical")
    with FakeOpenAIServer("good") as good, FakeOpenAIServer("spoiled") as spoiled:
        endpoints = {"good": good.base_url, "spoiled": spoiled.base_url}
        plan: dict[str, Any] = {
            "deployments": [
                {"type": "none", "name": name, "url": url, "model_id": name} for name, url in endpoints.items()
            ],
            "evaluation": {"tasks": [TASK]},
            "compare": [{"deployment": "spoiled", "baseline": "good", "gate": "policy.yaml"}],
        }
        workspace.configure(plan)
        first = workspace.run("--retries", "0")
        assert first.returncode == 1
        assert "NO-GO" in first.output
        assert "Traceback" not in first.output
        comparison = _comparison(workspace, "spoiled-vs-good")
        (task,) = comparison["tasks"]
        assert comparison["gate"]["verdict"] == "NO-GO"
        assert task["verdict"] == "worse"
        page = (workspace.results / "report.html").read_text(encoding="utf-8")
        assert 'id="comparison"' in page and "NO-GO" in page, "a gate that fails the run does not cost the report"
        # The same answers to the same question: the gate alone is asked again, and says the same.
        assert workspace.run("--dry-run").plan == {"gate": 1, "all": 1}
        assert workspace.run("--retries", "0").returncode == 1
        # Another policy judges again without evaluating again.
        policy.write_text(POLICY % "advisory")
        assert workspace.run("--dry-run").plan == {"compare": 1, "report": 1, "gate": 1, "all": 1}
        again = workspace.run()
        assert again.returncode == 0, again.output
        assert _comparison(workspace, "spoiled-vs-good")["gate"]["verdict"] == "GO"
        # Results with another limit are no baseline: the difference is named, and nothing is decided.
        policy.write_text(POLICY % "critical")
        earlier = {"deployment": "good", "baseline": "good", "baseline_results": "results/test", "gate": "policy.yaml"}
        workspace.configure(
            plan | {"run": "later", "evaluation": {"tasks": [TASK], "limit": 500}, "compare": [earlier]}
        )
        refused = workspace.run("--retries", "0")
        assert refused.returncode == 1
        assert "INCONCLUSIVE" in refused.output
        later = workspace.folder / "results" / "later" / "compare" / "good-vs-good.json"
        (task,) = json.loads(later.read_text(encoding="utf-8"))["tasks"]
        assert task["verdict"] == "incomparable"
        assert "limit" in json.dumps(task)
        del earlier["gate"]
        workspace.configure(
            plan | {"run": "later", "evaluation": {"tasks": [TASK], "limit": 500}, "compare": [earlier]}
        )
        ungated = workspace.run("--retries", "0")
        assert ungated.returncode == 1
        assert "not one task can be compared:\n  thousand: not measured alike: limit" in ungated.output


def test_two_runs_of_one_deployment_are_not_distinguishable(workspace: Workspace) -> None:
    smol = {"type": "llamacpp", "checkpoint_path": CHECKPOINT, "name": "smol", "max_num_seqs": 1, "cache_prompt": False}
    plan = {"deployment": smol, "evaluation": {"tasks": ["antonyms"], "limit": 20, "temperature": 0}}
    workspace.configure(plan | {"run": "first"})
    assert workspace.run().returncode == 0
    workspace.configure(
        plan | {"compare": [{"deployment": "smol", "baseline": "smol", "baseline_results": "results/first"}]}
    )
    done = workspace.run()
    assert done.returncode == 0, done.output
    (task,) = _comparison(workspace, "smol-vs-smol")["tasks"]
    assert task["verdict"] == "not distinguishable"
    assert task["difference"] == 0
    assert task["flips"] == {"right_to_wrong": [], "wrong_to_right": []}
