"""The plan is the truth: what changes replan, what forcing does, and what a dry run leaves alone."""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from workspace import CHECKPOINT, REPOSITORY, Workspace

PROGRAM = str(REPOSITORY / "tests" / "fakes" / "command_task.py")
WHOLE = {"deploy": 1, "ready": 2, "evaluate": 2, "teardown": 1, "aggregate": 1, "report": 1, "all": 1}


def _config() -> dict[str, Any]:
    return {
        "deployment": {"type": "llamacpp", "name": "smol", "checkpoint_path": CHECKPOINT, "served_model_name": "smol"},
        "evaluation": {
            "limit": 2,
            "tasks": [{"name": name, "command": [sys.executable, PROGRAM]} for name in ("one", "two")],
        },
    }


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A run that is done; tests plan on it and start nothing."""
    workspace = Workspace(tmp_path_factory.mktemp("finished"))
    workspace.configure(_config())
    planned = workspace.run("--dry-run")
    done = workspace.run()
    assert done.returncode == 0, done.output
    assert planned.plan == done.plan == WHOLE
    assert workspace.servers() == []
    return workspace


ONE = {"ready": 1, "evaluate": 1, "teardown": 1, "aggregate": 1, "report": 1, "all": 1}
BOTH = {"ready": 2, "evaluate": 2, "teardown": 1, "aggregate": 1, "report": 1, "all": 1}


@pytest.mark.parametrize(
    ("arguments", "plan"),
    [
        ([], {}),
        (["--config", "deployment.port=9000"], {}),
        (["--config", "execution.idle_timeout_s=77"], {}),
        (["--config", "execution.max_restarts=1"], {}),
        (["--config", "evaluation.parallelism=3"], {}),
        (["--config", "deployment.threads=1"], {}),
        (["--retries", "7"], {}),
        (["--config", "evaluation.tasks.one.temperature=0.5"], ONE),
        (["--config", "evaluation.tasks.one.limit=1"], ONE),
        (["--config", "evaluation.limit=1"], BOTH),
        (["--config", "deployment.max_model_len=1024"], WHOLE),
        (["-R", "evaluate"], BOTH),
        (["-F"], WHOLE),
        (["--forceall", "--until", "ready"], {"deploy": 1, "ready": 2}),
        (["-R", "aggregate"], {"aggregate": 1, "report": 1, "all": 1}),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_is_planned(finished: Workspace, arguments: list[str], plan: dict[str, int]) -> None:
    done = finished.run("--dry-run", *arguments)
    assert done.returncode == 0, done.output
    assert done.plan == plan


def test_a_task_more_and_a_task_less(finished: Workspace) -> None:
    config = _config()
    config["evaluation"]["tasks"].append({"name": "three", "command": [sys.executable, PROGRAM]})
    finished.configure(config)
    more = finished.run("--dry-run")
    config["evaluation"]["tasks"] = config["evaluation"]["tasks"][:1]
    finished.configure(config)
    less = finished.run("--dry-run")
    finished.configure(_config())
    assert more.plan == ONE
    assert less.plan == {"teardown": 1, "aggregate": 1, "report": 1, "all": 1}


def test_the_graph_is_drawn(finished: Workspace) -> None:
    done = finished.run("--dag")
    assert done.returncode == 0
    assert "digraph" in done.output
    assert "evaluate" in done.output


def test_the_page_of_snakemake_holds_summary_and_report(finished: Workspace) -> None:
    done = finished.run("--report", "page.html")
    assert done.returncode == 0, done.output
    page = (finished.folder / "page.html").read_text(encoding="utf-8")
    assert "results/test/report.html" in page
    assert "results/test/summary.csv" in page
    assert "The whole run on one page" in page
    assert finished.run("--dry-run").plan == {}


def test_a_dry_run_writes_and_starts_nothing(tmp_path: Path) -> None:
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "--quiet", str(REPOSITORY), str(clone)], check=True)
    before = {str(path) for path in clone.rglob("*") if ".git/" not in str(path)}
    done = subprocess.run(
        [sys.executable, "-B", "-m", "snakemake", "--dry-run"],
        cwd=clone,
        env=Workspace(clone).environ | {"SNAKEVAL_ENVIRONMENTS": ""},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    after = {str(path) for path in clone.rglob("*") if ".git/" not in str(path)}
    assert {path for path in after - before if f"{clone}/.snakemake" not in path} == set()
    assert Workspace(clone).servers() == []


def test_environments_are_planned_where_they_are_missing(workspace: Workspace) -> None:
    """And only there: neither building them nor losing them again replans a finished task."""
    workspace.configure({**_config(), "evaluation": {"limit": 2, "tasks": ["boolean_expressions"]}})
    cache = workspace.folder / "environments"
    workspace.environ["SNAKEVAL_ENVIRONMENTS"] = str(cache)
    planned = workspace.run("--dry-run")
    assert planned.plan == {"environment": 2, "deploy": 1, **ONE}
    done = workspace.run()
    assert done.returncode == 0, done.output
    assert done.plan == planned.plan
    assert "Nothing to be done" in workspace.run("--dry-run").output
    shutil.rmtree(cache)
    assert "Nothing to be done" in workspace.run("--dry-run").output


def test_until_ready_starts_and_stops_a_server(workspace: Workspace) -> None:
    workspace.configure(_config())
    done = workspace.run("--until", "ready")
    assert done.returncode == 0, done.output
    assert "is ready on 127.0.0.1" in done.output
    assert workspace.servers() == []
    assert workspace.run("--dry-run").plan == {**BOTH}


def test_notemp_keeps_leases_and_changes_no_later_plan(workspace: Workspace) -> None:
    workspace.configure(_config())
    done = workspace.run("--notemp")
    assert done.returncode == 0, done.output
    assert workspace.servers() == []
    assert "Nothing to be done" in workspace.run("--dry-run").output
