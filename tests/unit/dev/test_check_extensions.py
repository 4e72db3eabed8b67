"""What was added incompletely is told by a check, whether or not anything uses it."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from dev.check_extensions import problems
from snakeval.deployments import types
from snakeval.deployments.types import deployment_type, launch_template
from snakeval.errors import ExtensionError
from snakeval.system.checkout import ROOT


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The files of a checkout that the check looks at, in a folder of its own."""
    for folder in ("schemas", "config/execution", "config/deployment", "config/harnesses", "profiles"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    shutil.copytree(ROOT / "scripts/templates", tmp_path / "scripts/templates")
    return tmp_path


def test_this_checkout_is_complete() -> None:
    assert [str(problem) for problem in problems(ROOT)] == []


def _written(name: str) -> Callable[[Path], object]:
    return lambda root: (root / name).write_text("type: object\nproperties: {}\n", encoding="utf-8")


def _removed(name: str) -> Callable[[Path], object]:
    return lambda root: (root / name).unlink()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (_written("schemas/execution/toy.schema.yaml"), "schemas/execution/toy.schema.yaml belongs to nothing"),
        (_removed("profiles/slurm/config.yaml"), "backend slurm lacks a file"),
        (_removed("schemas/execution/lepton.schema.yaml"), "backend lepton lacks a file"),
        (_written("scripts/templates/launch/toy.sh.j2"), "scripts/templates/launch/toy.sh.j2 belongs to nothing"),
        (_removed("scripts/templates/launch/vllm.sh.j2"), "deployment type vllm lacks a file"),
        (_removed("config/deployment/nim.yaml"), "deployment type nim lacks a file"),
        (_written("config/harnesses/toy.yaml"), "config/harnesses/toy.yaml: container is missing"),
    ],
)
def test_what_does_not_belong_together_is_told(checkout: Path, change: Callable[[Path], object], words: str) -> None:
    change(checkout)
    assert words in "\n".join(map(str, problems(checkout)))


def test_a_type_without_template_is_told_when_it_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(types, "TEMPLATES", tmp_path)
    with pytest.raises(ExtensionError, match="is a deployment type without a launch template"):
        launch_template("vllm")
    assert not deployment_type("none").has_server
