"""The runs that are broken: what each asks for, as data."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from workspace import CHECKPOINT

RUN = "chaos"
PROGRAMS = Path(__file__).resolve().parent / "programs"
STAND_IN = ("quick", "light", "full")
KINDS = (*STAND_IN, "llamacpp")


def config_of(kind: str, max_deployments: int = 1) -> dict[str, Any]:
    """Return the configuration of a kind of run."""
    evaluation = {"request_timeout_s": 5, "max_retries": 3, "parallelism": 4, "tasks": _tasks(kind)}
    if kind == "llamacpp":
        evaluation["request_timeout_s"] = 60
    execution = {"type": "local", "idle_timeout_s": 30, "readiness_timeout_s": 25, "max_deployments": max_deployments}
    return {"run": RUN, "execution": execution, "deployments": _deployments(kind), "evaluation": evaluation}


def deployments_of(config: Mapping[str, Any]) -> list[str]:
    """Return the names of the deployments."""
    return [one["name"] for one in config["deployments"]]


def results_of(config: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return deployment and task of every result."""
    return [(name, task["name"]) for name in deployments_of(config) for task in config["evaluation"]["tasks"]]


def _tasks(kind: str) -> list[dict[str, Any]]:
    program: dict[str, Any] = {"name": "sums", "command": [sys.executable, str(PROGRAMS / "task.py")], "limit": 30}
    tasks: dict[str, list[dict[str, Any]]] = {
        "quick": [program, program | {"name": "sums-twice", "limit": 15, "repeats": 2}],
        "light": [{"name": "larger_number", "limit": 30, "repeats": 2, "temperature": 0.7}, program],
        "full": [
            {"name": "boolean_expressions", "limit": 30},
            {"name": "larger_number", "limit": 30},
            program,
            {"name": "antonyms", "limit": 10, "repeats": 2, "temperature": 0.7},
        ],
        "llamacpp": [{"name": "boolean_expressions", "limit": 8}, {"name": "antonyms", "limit": 8}],
    }
    return tasks[kind]


def _deployments(kind: str) -> list[dict[str, Any]]:
    if kind == "llamacpp":
        served = {"served_model_name": "smol", "max_num_seqs": 1, "cache_prompt": False, "checkpoint_path": CHECKPOINT}
        return [{"name": "a", "type": "llamacpp", **served}]
    return [
        {
            "name": name,
            "type": "generic",
            "served_model_name": f"model-{name}",
            "checks_api_key": True,
            "command": [sys.executable, str(PROGRAMS / "server.py"), "--name", name, "--model", f"model-{name}"],
        }
        for name in "ab"
    ]
