"""Whole runs of servers in containers of podman: deployed, evaluated, torn down, and nothing left."""

import json

import pytest
import yaml
from containers import Podman, in_podman, stand_in_nim
from workspace import Workspace

NIM = "localhost/snakeval-nim:1.8.4"
KEY = "planted-ngc-key-0815"


def test_a_nim_is_deployed_evaluated_and_torn_down(
    workspace: Workspace, podman: Podman, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By an image with NIM's entry points, which is told all by its environment; again: nothing to be done."""
    workspace.environ["NGC_API_KEY"] = KEY
    (workspace.folder / "cache").mkdir()
    deployment = stand_in_nim(podman, NIM, cache_path="cache", model_profile="tp1-bf16")
    workspace.configure(
        {
            "deployment": deployment,
            "execution": in_podman(),
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
