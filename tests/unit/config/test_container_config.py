"""What of a container changes a score, and what does not."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from config_workflow import Workflow, make_workflow

DIGEST = "sha256:" + "0" * 64
PLAIN: dict[str, Any] = {"type": "generic", "command": "serve", "served_model_name": "m"}
INSIDE = {**PLAIN, "runtime": "container", "image": "a:1"}
PODMAN = {"container_runtime": "podman"}


@pytest.fixture
def workflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workflow:
    monkeypatch.chdir(tmp_path)
    return make_workflow(tmp_path)


def _fingerprint(workflow: Workflow, deployment: dict[str, Any], execution: dict[str, Any]) -> str:
    text = {"deployment": deployment, "execution": execution, "evaluation": {"tasks": ["colours"]}}
    return workflow.load(yaml.safe_dump(text)).deployments[0].fingerprint


def test_the_image_changes_scores(workflow: Workflow) -> None:
    images = ("a:1", "a:2", f"a@{DIGEST}", "b:1")
    found = {_fingerprint(workflow, {**INSIDE, "image": image}, PODMAN) for image in images}
    assert len(found | {_fingerprint(workflow, PLAIN, PODMAN)}) == 5


def test_what_runs_the_container_and_what_it_sees_does_not(workflow: Workflow) -> None:
    same = _fingerprint(workflow, INSIDE, PODMAN)
    for execution in (
        {"container_runtime": "apptainer"},
        {"type": "slurm", "container_runtime": "pyxis"},
        {**PODMAN, "container_args": ["--x"]},
        {**PODMAN, "mounts": {"deployment": {"/a": "/b"}, "mount_home": True}},
    ):
        assert _fingerprint(workflow, INSIDE, execution) == same
    assert _fingerprint(workflow, {**PLAIN, "runtime": "host"}, {}) == _fingerprint(workflow, PLAIN, PODMAN)


def test_an_image_file_counts_by_its_content(workflow: Workflow, tmp_path: Path) -> None:
    file = tmp_path / "a.sif"
    file.write_text("one")
    deployment = {**INSIDE, "image": str(file)}
    apptainer = {"container_runtime": "apptainer"}
    before = _fingerprint(workflow, deployment, apptainer)
    assert _fingerprint(workflow, deployment, apptainer) == before
    file.write_text("two")
    assert _fingerprint(workflow, deployment, apptainer) != before
