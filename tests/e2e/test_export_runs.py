"""Exports in whole runs: what fails fails alone, is told by the status, and is all that runs again."""

import csv
import json
from typing import Any

from fakes.openai_server import FakeOpenAIServer
from snakeval.system.checkout import ENVS
from snakeval.system.environments import ensure_environment
from snakeval.system.ports import LOOPBACK, free_port
from workspace import Workspace

TASK = {"name": "boolean_expressions", "limit": 4, "max_retries": 1}


def _plan(url: str, **export: Any) -> dict[str, Any]:
    return {
        "deployment": {"type": "none", "name": "there"},
        "target": {"api_endpoint": {"url": url, "model_id": "fake-model"}},
        "evaluation": {"tasks": [TASK]},
        "export": export,
    }


def test_the_plan_has_the_environment_of_an_export(workspace: Workspace) -> None:
    workspace.environ["SNAKEVAL_ENVIRONMENTS"] = str(workspace.folder / "environments")
    workspace.configure(_plan("http://127.0.0.1:9/v1", formats=["csv"]))
    without = workspace.run("--dry-run").plan
    workspace.configure(_plan("http://127.0.0.1:9/v1", formats=["csv", "parquet"]))
    assert workspace.run("--dry-run").plan == without | {"export": 2, "environment": without["environment"] + 1}


def test_an_export_that_fails_fails_alone(workspace: Workspace) -> None:
    ensure_environment(ENVS / "export-mlflow.lock")
    ensure_environment(ENVS / "lm-eval.lock")
    workspace.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] = "0"
    nowhere = {"tracking_uri": f"http://{LOOPBACK}:{free_port(LOOPBACK)}"}
    exports = workspace.results / "exports"
    with FakeOpenAIServer() as server:
        plan = _plan(server.base_url, formats=["csv", "latex"], mlflow=nowhere)
        workspace.configure(plan)
        before = workspace.run("--dry-run").plan
        assert before == {
            "deploy": 1,
            "ready": 1,
            "evaluate": 1,
            "teardown": 1,
            "aggregate": 1,
            "report": 1,
            "export": 3,
            "all": 1,
        }
        failed = workspace.run("--retries", "0")
        assert failed.returncode == 1
        assert "error: export mlflow, attempt 1: MlflowException: " in failed.output
        assert "Traceback" not in failed.output
        assert f"mlflow    failed, log: {exports.relative_to(workspace.folder)}/mlflow/log.txt" in failed.output
        (row,) = csv.DictReader((exports / "csv" / "results.csv").read_text(encoding="utf-8").splitlines())
        (metric,) = workspace.result("there", "boolean_expressions")["metrics"]
        assert float(row["value"]) == metric["value"]
        assert json.loads((exports / "latex" / "record.json").read_text(encoding="utf-8"))["results"] == 1
        # The same command runs the failed export alone; without it there is nothing left to do.
        assert workspace.run("--dry-run").plan == {"export": 1, "all": 1}
        workspace.configure(_plan(server.base_url, formats=["csv", "latex"]))
        done = workspace.run()
        assert done.returncode == 0, done.output
        assert workspace.run("--dry-run").plan == {}
        # A deleted export comes back alone, and other results are exported again.
        (exports / "csv" / "record.json").unlink()
        assert workspace.run("--dry-run").plan == {"export": 1, "all": 1}
        assert workspace.run("--config", "evaluation.tasks.boolean_expressions.limit=5").returncode == 0
        (row,) = csv.DictReader((exports / "csv" / "results.csv").read_text(encoding="utf-8").splitlines())
        assert row["limit"] == "5"
