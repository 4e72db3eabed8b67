"""Comparisons and gates as a part of real runs: what they find, what they refuse, and the status that users see."""

import json
import sys
from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest
import yaml
from fakes.openai_server import FakeOpenAIServer
from workspace import CHECKPOINT, REPOSITORY, Workspace

QUIZ = str(REPOSITORY / "tests" / "fakes" / "quiz_task.py")
SCHEMA = yaml.safe_load((REPOSITORY / "schemas" / "comparison.schema.yaml").read_text(encoding="utf-8"))
POLICY = {"tasks": [{"match": "quiz", "tier": "critical", "max_drop": 0.02}]}


@pytest.fixture
def servers() -> Iterator[tuple[FakeOpenAIServer, FakeOpenAIServer]]:
    """A model, and its copy that spoils every tenth answer."""
    with FakeOpenAIServer() as sound, FakeOpenAIServer(faults=("spoil-fraction:0.1",)) as spoiled:
        yield sound, spoiled


def _deployment(name: str, server: FakeOpenAIServer) -> dict[str, Any]:
    return {"type": "none", "name": name, "url": server.base_url, "model_id": "fake-model"}


def _quiz(*arguments: str, limit: int = 1000) -> dict[str, Any]:
    return {"tasks": [{"name": "quiz", "command": [sys.executable, QUIZ, *arguments]}], "limit": limit}


def _comparison(workspace: Workspace, name: str) -> dict[str, Any]:
    content = json.loads((workspace.results / "compare" / f"{name}.json").read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator(SCHEMA).validate(content)
    return dict(content)


def test_a_spoiled_copy_is_no_go_until_the_policy_allows_it(
    workspace: Workspace, servers: tuple[FakeOpenAIServer, FakeOpenAIServer]
) -> None:
    policy = workspace.folder / "policy.yaml"
    policy.write_text(yaml.safe_dump(POLICY), encoding="utf-8")
    entry = {"deployment": "copy", "baseline": "model", "gate": "policy.yaml"}
    workspace.configure(
        {
            "deployments": [_deployment("model", servers[0]), _deployment("copy", servers[1])],
            "evaluation": _quiz(),
            "compare": [entry],
        }
    )
    planned = workspace.run("--dry-run")
    first = workspace.run("--retries", "2")
    assert first.returncode == 1
    assert planned.plan == first.plan
    assert (planned.plan["compare"], planned.plan["gate"]) == (1, 1)
    assert "error: gate copy-vs-model, attempt 1: NO-GO: critical tasks dropped too much: quiz" in first.output
    assert "attempt 2: NO-GO" not in first.output
    assert "is not complete" not in first.output
    assert "gate copy-vs-model: NO-GO" in first.output

    content = _comparison(workspace, "copy-vs-model")
    task = content["tasks"][0]
    spoiled = {one["doc_id"] for one in task["flips"]["right_to_wrong"]}
    assert (task["verdict"], task["test"], task["n_shared"]) == ("worse", "mcnemar exact", 1000)
    assert task["difference"] == pytest.approx(-len(spoiled) / 1000)
    assert task["flips"]["wrong_to_right"] == []
    assert (content["gate"]["verdict"], content["gate"]["passed"]) == ("NO-GO", False)
    assert [one["component"] for one in content["deployment_differences"]] == ["url"]
    assert workspace.result("copy", "quiz")["metrics"][0]["value"] == pytest.approx(0.7 - len(spoiled) / 1000)

    # The verdict stands until something changes: nothing is measured again, and the outputs stay.
    before = (workspace.results / "compare" / "copy-vs-model.json").stat().st_mtime_ns
    assert workspace.run("--dry-run").plan == {"gate": 1, "all": 1}
    again = workspace.run()
    assert (again.returncode, again.plan) == (1, {"gate": 1, "all": 1})
    assert (workspace.results / "compare" / "copy-vs-model.json").stat().st_mtime_ns == before

    policy.write_text(yaml.safe_dump(POLICY | {"fail_on": []}), encoding="utf-8")
    done = workspace.run()
    assert (done.returncode, done.plan) == (0, {"compare": 1, "gate": 1, "all": 1}), done.output
    assert _comparison(workspace, "copy-vs-model")["gate"]["verdict"] == "NO-GO"
    assert "Nothing to be done" in workspace.run("--dry-run").output


def test_against_an_earlier_run(workspace: Workspace, servers: tuple[FakeOpenAIServer, FakeOpenAIServer]) -> None:
    """The same again is not distinguishable; what was measured otherwise is refused, with the settings by name."""
    (workspace.folder / "policy.yaml").write_text(yaml.safe_dump(POLICY), encoding="utf-8")
    deployment = _deployment("model", servers[0])
    earlier = {"deployment": deployment, "evaluation": _quiz(limit=400)}
    workspace.configure({"run": "earlier", **earlier})
    assert workspace.run().returncode == 0
    entry = {"deployment": "model", "baseline": "model", "baseline_results": "results/earlier", "gate": "policy.yaml"}
    workspace.configure({**earlier, "compare": [entry]})
    same = workspace.run()
    assert same.returncode == 0, same.output
    content = _comparison(workspace, "model-vs-model")
    task = content["tasks"][0]
    assert (task["verdict"], task["difference"], task["p"]) == ("not distinguishable", 0.0, 1.0)
    assert task["flips"] == {"right_to_wrong": [], "wrong_to_right": []}
    assert (content["baseline"]["run"], content["candidate"]["run"]) == ("earlier", "test")
    assert content["gate"]["verdict"] == "GO"
    assert "not distinguishable" in same.output
    assert "Nothing to be done" in workspace.run("--dry-run").output

    changed = {**_quiz("--version", "2", limit=300), "temperature": 0.5}
    workspace.configure({"deployment": deployment, "evaluation": changed, "compare": [entry]})
    refused = workspace.run()
    assert refused.returncode == 1
    content = _comparison(workspace, "model-vs-model")
    task = content["tasks"][0]
    assert (task["verdict"], task["difference"], task["p"]) == ("incomparable", None, None)
    differing = {one["component"]: (one["baseline"], one["candidate"]) for one in task["differences"]}
    assert differing.pop("command")[0].startswith("sha256:")
    assert differing == {"limit": (400, 300), "temperature": (None, 0.5), "versions.quiz": ("1", "2")}
    assert content["gate"]["verdict"] == "INCONCLUSIVE"
    assert "limit (400 in the baseline, 300 in the candidate)" in refused.output

    accepted = {**entry, "accept_differences": ["limit", "temperature", "command", "versions.*"]}
    workspace.configure({"deployment": deployment, "evaluation": changed, "compare": [accepted]})
    done = workspace.run()
    assert done.plan == {"compare": 1, "gate": 1, "all": 1}
    assert _comparison(workspace, "model-vs-model")["tasks"][0]["n_shared"] == 300


def test_a_model_against_itself_on_a_real_server(workspace: Workspace) -> None:
    """Greedy, and one request at a time: what is in a batch changes how sums are rounded."""
    common = {"type": "llamacpp", "checkpoint_path": CHECKPOINT, "served_model_name": "smol", "max_num_seqs": 1}
    workspace.configure(
        {
            "deployments": [{**common, "name": "one"}, {**common, "name": "other"}],
            "evaluation": {"tasks": ["boolean_expressions"], "limit": 20, "temperature": 0, "parallelism": 1},
            "compare": [{"deployment": "other", "baseline": "one"}],
        }
    )
    done = workspace.run(cores=1)
    assert done.returncode == 0, done.output
    task = _comparison(workspace, "other-vs-one")["tasks"][0]
    assert task["verdict"] == "not distinguishable"
    assert task["flips"] == {"right_to_wrong": [], "wrong_to_right": []}
    metric = workspace.result("one", "boolean_expressions")["metrics"][0]
    assert metric["ci_low"] < metric["value"] < metric["ci_high"]
    assert metric["ci_method"] == "wilson"
