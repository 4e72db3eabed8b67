"""The launcher's own files by a real `snakemake -n`, and the end of a real call for tasks that cannot run here yet."""

from pathlib import Path

import pytest
from workspace import REPOSITORY, Workspace

FILES = REPOSITORY / "tests" / "fixtures" / "launcher"


def _workspace(tmp_path: Path, name: str) -> Workspace:
    workspace = Workspace(tmp_path)
    text = (FILES / f"{name}.yaml").read_text(encoding="utf-8")
    (tmp_path / "test.yaml").write_text(text.replace("/shared/results", "results"), encoding="utf-8")
    return workspace


@pytest.mark.parametrize(("name", "tasks"), [("quick-start", 2), ("slurm-sglang", 2)])
def test_it_plans_as_it_is(name: str, tasks: int, tmp_path: Path) -> None:
    workspace = _workspace(tmp_path, name)
    workspace.environ["HF_TOKEN"] = "planted"
    done = workspace.run("--dry-run")
    assert done.returncode == 0, done.output
    assert {rule: done.plan.get(rule) for rule in ("deploy", "ready", "evaluate", "teardown", "report")} == {
        "deploy": 1, "ready": tasks, "evaluate": tasks, "teardown": 1, "report": 1,
    }  # fmt: skip
    told = "notice: execution.hostname: left out, jobs are submitted from the machine on which Snakemake runs"
    assert done.output.count(told) == 1
    assert "planted" not in done.output
    assert not (tmp_path / "results").exists()


def test_a_harness_without_an_environment_ends_the_call_before_anything_starts(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    there = {"type": "none", "url": "http://127.0.0.1:9/v1", "model_id": "m"}
    workspace.configure({"deployment": there, "evaluation": {"tasks": ["scicode.scicode"]}})
    planned = workspace.run("--dry-run")
    assert planned.returncode == 0, planned.output
    assert planned.plan["evaluate"] == 1
    done = workspace.run()
    assert done.returncode == 1
    what = "error: execution.container_runtime is needed for tasks that run in images of their harnesses"
    assert what in done.output
    assert "got:      none, with the tasks scicode.scicode" in done.output
    assert "Traceback" not in done.output
    assert not (tmp_path / "results").exists()
