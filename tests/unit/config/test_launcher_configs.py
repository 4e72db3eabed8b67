"""Files in NeMo Evaluator Launcher's syntax: what is read from them, and the command of the server that comes of it."""

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from snakeval.config import Config, Deployment, load_config
from snakeval.config.reading.schema import Schema
from snakeval.config.reading.schema_files import load_schema
from snakeval.deployments.launch import Placement, render_launch_script
from snakeval.deployments.types import deployment_type
from snakeval.run.paths import RunPaths
from snakeval.system.checkout import ROOT

FOLDER = ROOT / "tests" / "fixtures" / "launcher"
FILES = sorted(FOLDER.glob("*.yaml"))
# What the launcher's `execution` is about.
TRANSLATED = {"account", "partition", "cpu_partition", "num_nodes", "num_instances", "ntasks_per_node", "gres"}
TRANSLATED |= {"walltime", "max_walltime", "sbatch_comment", "sbatch_extra_flags", "readiness_timeout_s"}
TRANSLATED |= {"node_group", "queue_config", "image_pull_secrets"}
VARIABLES = ("HF_TOKEN", "NGC_API_KEY", "MY_API_KEY", "JUDGE_API_KEY")
ENVIRON = {"USER": "ada", **dict.fromkeys(VARIABLES, "planted")}
PLACEMENT = Placement(host="127.0.0.1", advertise="127.0.0.1", server_id="0123456789abcdef")


def _load(path: Path) -> Config:
    return load_config([path], {}, ROOT, ENVIRON)


def _described(config: Config) -> str:
    """Return notices, what tasks and the backend are told beside defaults, and each server's command."""
    lines = [f"notice: {notice}" for notice in config.notices]
    execution = load_schema(ROOT / "schemas" / "execution" / f"{config.execution.type}.schema.yaml")
    given = {**config.execution.options, "readiness_timeout_s": config.execution.readiness_timeout_s}
    options = {name: value for name, value in given.items() if name in TRANSLATED}
    lines.append(f"execution {config.execution.type}: {_told(options, execution)}")
    evaluation = load_schema(ROOT / "schemas" / "evaluation.schema.yaml")
    for task in config.tasks:
        module = f", module {task.module}" if task.module else ""
        lines.append(f"task {task.name}: {task.harness}.{task.task} by {task.protocol}{module}")
        lines.append(f"  {_told({**task.settings, 'limit': task.limit, 'repeats': task.repeats}, evaluation)}")
    for deployment in config.deployments:
        lines.append(f"deployment {deployment.name}: {json.dumps(dict(deployment.env_vars), sort_keys=True)}")
        if deployment_type(deployment.type).has_server:
            lines.append(_command(config, deployment))
    return "\n".join(lines) + "\n"


def _told(settings: Mapping[str, Any], schema: Schema) -> str:
    defaults = {name: part.default for name, part in schema.properties.items()}
    told = {key: value for key, value in settings.items() if value not in (None, {}, [], defaults.get(key))}
    return json.dumps(told, sort_keys=True)


def _command(config: Config, deployment: Deployment) -> str:
    """Return the array with the server's words, as launch.sh has it; programs in it are checked elsewhere."""
    server = RunPaths(Path("/results") / config.run).server(deployment.name)
    script = render_launch_script(config.run, deployment, config.execution, server, PLACEMENT)
    found = re.search(r"^server=\((?:\n.*?^\)|[^\n]*\)$)", script, re.DOTALL | re.MULTILINE)
    assert found, script
    return re.sub(r"-c '\"\"\".*?^'$", "-c '...'", found[0], flags=re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_what_a_file_comes_to(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With SNAKEVAL_WRITE_GOLDEN in the environment the files are written anew, to be looked at before a commit."""
    monkeypatch.chdir(tmp_path)
    described = _described(_load(path))
    assert "planted" not in described
    golden = path.with_suffix(".txt")
    if os.environ.get("SNAKEVAL_WRITE_GOLDEN"):
        golden.write_text(described, encoding="utf-8")
    assert described == golden.read_text(encoding="utf-8")


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_resolved_configuration_is_the_same_run(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    config = _load(path)
    (tmp_path / "resolved.yaml").write_text(json.dumps(config.resolved), encoding="utf-8")
    again = load_config([tmp_path / "resolved.yaml"], {}, ROOT, ENVIRON)
    assert (again.deployments, again.execution, again.tasks) == (config.deployments, config.execution, config.tasks)
    assert again.resolved == config.resolved
    assert set(again.notices) <= set(config.notices)
    assert all("no container" in notice for notice in again.notices)


def test_every_shape_has_a_file() -> None:
    kinds = ("vllm", "sglang", "nim", "trtllm", "generic", "none")
    shapes = {f"{backend}-{kind}" for backend in ("local", "slurm") for kind in kinds}
    shapes |= {f"lepton-{kind}" for kind in ("vllm", "sglang", "nim", "none")}
    assert shapes <= {path.stem for path in FILES}
