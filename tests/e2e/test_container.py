"""Whole runs of servers in containers of podman: deployed, evaluated, torn down, and nothing left."""

import json
from typing import Any

import pytest
import yaml
from containers import FAKES, MOUNTS, PYTHON, Podman
from workspace import REPOSITORY, Workspace

NIM = "localhost/snakeval-nim:1.8.4"
KEY = "planted-ngc-key-0815"


def _execution(**mounts: str) -> dict[str, Any]:
    return {"container_runtime": "podman", "readiness_timeout_s": 60, "mounts": {"deployment": {**MOUNTS, **mounts}}}


def test_a_nim_is_deployed_evaluated_and_torn_down(
    workspace: Workspace, podman: Podman, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By an image with NIM's entry points, which is told all by its environment; again: nothing to be done."""
    files = REPOSITORY / "tests" / "fakes" / "nim_image"
    entry = {"opt/nim/start_server.sh": "start_server.sh", "opt/nvidia/nvidia_entrypoint.sh": "nvidia_entrypoint.sh"}
    podman.build(NIM, {path: files / name for path, name in entry.items()})
    workspace.environ["NGC_API_KEY"] = KEY
    (workspace.folder / "cache").mkdir()
    deployment = {
        "type": "nim",
        "name": "nim",
        "image": NIM,
        "served_model_name": "meta/tiny",
        "cache_path": "cache",
        "model_profile": "tp1-bf16",
        "env_vars": {"STAND_IN_PYTHON": f"lit:{PYTHON}", "STAND_IN_SERVER": f"lit:{FAKES}/openai_server.py"},
    }
    workspace.configure(
        {
            "deployment": deployment,
            "execution": _execution(),
            "evaluation": {"tasks": ["boolean_expressions"], "limit": 2},
        }
    )
    done = workspace.run()
    assert done.returncode == 0, done.output
    assert podman.containers() == []
    assert (workspace.folder / "cache" / "profile").read_text() == "profile tp1-bf16\n"
    assert workspace.result("nim", "boolean_expressions")["samples"]["answered"] == 2
    image = "sha256:" + podman("image", "inspect", "--format={{.Id}}", NIM).strip()
    assert json.loads((workspace.results / "nim" / "server" / "teardown.json").read_text())["image"] == image
    lock = yaml.safe_load((workspace.results / "lock.yaml").read_text())
    assert lock["images"] == {"nim": {"reference": NIM, "id": image}}
    for file in workspace.folder.rglob("*"):
        assert not file.is_file() or KEY.encode() not in file.read_bytes(), file
    assert "Nothing to be done" in workspace.run().output
