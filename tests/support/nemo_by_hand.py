"""Calls nemo-evaluator as its documentation says, to compare what Snakeval makes of it."""

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from snakeval.system.environments import ensure_environment
from snakeval.system.ports import free_port
from workspace import REPOSITORY

PATHS = {"chat": "chat/completions", "completions": "completions"}
KEY_NAME = "KEY_OF_THE_ENDPOINT"


def run_by_hand(
    task: str,
    environment: str,
    told: Mapping[str, Any],
    url: str,
    folder: Path,
    model: str = "smol",
    kind: str = "chat",
    key: str = "",
) -> Path:
    """Run a task on the data in `folder`/data; returns the folder of its results.

    Args:
        task: As `harness.task`.
        environment: Family of the harness's environment.
        told: What `--overrides` says.
        url: Of the endpoint, up to and with /v1.
        folder: Where the results go.
        model: What the endpoint calls the model.
        kind: Of requests, in nemo-evaluator's words.
        key: Of the endpoint.
    """
    binaries = ensure_environment(REPOSITORY / "envs" / f"{environment}.lock").parent
    output = folder / f"by-hand-{task}"
    command = [str(binaries / "nemo-evaluator"), "run_eval", "--eval_type", task, "--model_id", model]
    command += ["--model_url", f"{url}/{PATHS[kind]}", "--model_type", kind, "--output_dir", str(output)]
    command += ["--overrides", ",".join(f"{name}={value}" for name, value in told.items())]
    command += ["--api_key_name", KEY_NAME] if key else []
    env = {**os.environ, "PATH": f"{binaries}:{os.environ['PATH']}", "NEMO_EVALUATOR_TELEMETRY_LEVEL": "0"}
    env |= {"HF_HUB_OFFLINE": "1", "API_KEY": "", "OPENAI_API_KEY": "", "ADAPTER_PORT": str(free_port("127.0.0.1"))}
    # The library keeps a data set by its name and place, and would take an earlier one for this.
    env["HF_DATASETS_CACHE"] = str(output / "datasets")
    env |= {KEY_NAME: key} if key else {}
    done = subprocess.run(
        command, cwd=folder / "data", env=env, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return output


def scores(output: Path) -> dict[str, float]:
    """Return the numbers of results.yml by the names that the workflow gives them; BFCL's averages are left out."""
    results = yaml.safe_load((output / "results.yml").read_text())["results"]
    (group,) = (results.get("groups") or results["tasks"]).values()
    return {
        metric.replace("__", "|"): score["value"]
        for metric, content in group["metrics"].items()
        for score in content["scores"].values()
        if "overall" not in metric
    }


def scores_of_result(result: Mapping[str, Any]) -> dict[str, float]:
    """Return the task's own numbers in a result.json, by the same names."""
    return {
        metric["name"] + ("" if metric["filter"] == "none" else f"|{metric['filter']}"): metric["value"]
        for metric in result["metrics"]
        if metric["subtask"] is None
    }
