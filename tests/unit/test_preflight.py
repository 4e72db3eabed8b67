"""What is checked of a deployment before anything is started, and what is known of its type."""

from pathlib import Path

import pytest
from builders import make_deployment
from snakeval.deployment_types import DeploymentType, deployment_type, environment_lock
from snakeval.environments import ENVS
from snakeval.errors import DeploymentError
from snakeval.preflight import check_deployment


def test_a_checkpoint_has_to_be_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    deployment = make_deployment(type="llamacpp", checkpoint_path="models/tiny.gguf")
    with pytest.raises(DeploymentError) as raised:
        check_deployment(deployment)
    assert str(raised.value) == (
        "error: deployment tiny: checkpoint_path does not exist\n"
        "  got:      models/tiny.gguf\n"
        "  expected: a path on this machine, or package:PACKAGE/FILE\n"
        "  hint:     relative paths begin at the directory in which snakemake runs"
    )
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "tiny.gguf").touch()
    check_deployment(deployment)


def test_what_only_the_server_can_find_is_left_to_it() -> None:
    check_deployment(make_deployment(type="llamacpp", checkpoint_path="package:llm_tiny/tiny.gguf"))
    check_deployment(make_deployment(type="generic"))
    check_deployment(make_deployment(type="none"))


def test_facts_of_types_come_from_their_schemas() -> None:
    assert deployment_type("llamacpp") == DeploymentType("llamacpp", "llamacpp", "/health", "/v1", True, True)
    assert deployment_type("generic") == DeploymentType("generic", None, None, "/v1", False, True)
    assert not deployment_type("none").has_server
    with pytest.raises(FileNotFoundError):
        deployment_type("unknown")


def test_lock_of_the_environment_of_a_server() -> None:
    assert environment_lock(make_deployment(type="llamacpp")) == ENVS / "llamacpp.lock"
    assert environment_lock(make_deployment(type="generic")) is None
