"""The small records of a run: complete, and without secrets."""

from pathlib import Path

import pytest
import yaml
from builders import make_config, make_deployment, make_outcome, make_task
from fake_backend import FakeBackend
from snakeval import __version__
from snakeval.config.model import Config
from snakeval.errors import HarnessError
from snakeval.results.lock_file import write_lock_file
from snakeval.results.result import build_result
from snakeval.run.paths import RunPaths
from snakeval.run.server import ServerRecord, ServerState
from snakeval.serving import lifecycle as records
from snakeval.serving.lifecycle import tear_down, write_deployment
from snakeval.system.checkout import ENVS
from snakeval.system.files import read_json
from snakeval.workflow.session import write_resolved_config


@pytest.fixture
def config(tmp_path: Path) -> Config:
    deployments = (make_deployment("a", type="llamacpp"), make_deployment("b"))
    return make_config(tmp_path / "results", deployments, (make_task(), make_task("gsm8k", harness="lm-eval")))


def _paths(config: Config) -> RunPaths:
    return RunPaths(config.folder)


def test_deployment_record_holds_what_changes_a_score(tmp_path: Path) -> None:
    path = tmp_path / "deployment.json"
    deployment = make_deployment(port=8001, command=["my-server", "--secret"], env_vars={"TOKEN": "host:TOKEN"})
    write_deployment(deployment, path)
    options = {name: value for name, value in deployment.options.items() if name not in ("command", "pre_cmd")}
    assert read_json(path) == {
        "schema_version": 1,
        "snakeval_version": __version__,
        "name": "tiny",
        "type": "generic",
        "served_model_name": "tiny-model",
        "options": options,
        "fingerprint": "fingerprint-of-tiny",
    }


def test_teardown_stops_the_server_and_says_how_it_lived(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    backend = FakeBackend()
    monkeypatch.setattr(records, "backend_of", lambda _: backend)
    monkeypatch.setattr("snakeval.serving.lifecycle.time.time", lambda: 100.0)
    server = _paths(config).server("a")
    ServerRecord(ServerState.STOPPED, "0123456789abcdef", restarts=2, started_at=60.0, pid=9).write(server.state)
    tear_down(config, config.deployments[0], server.teardown)
    assert backend.calls == ["stop a"]
    assert read_json(server.teardown) == {
        "schema_version": 1,
        "snakeval_version": __version__,
        "deployment": "a",
        "type": "llamacpp",
        "server_id": "0123456789abcdef",
        "restarts": 2,
        "host": None,
        "port": None,
        "state": "STOPPED",
        "reason": None,
        "image": None,
        "started_at": "1970-01-01T00:01:00+00:00",
        "ready_at": None,
        "updated_at": None,
        "torn_down_at": "1970-01-01T00:01:40+00:00",
    }


def test_teardown_of_a_server_that_never_was_and_of_one_that_is_not_ours(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = FakeBackend()
    monkeypatch.setattr(records, "backend_of", lambda _: backend)
    path = _paths(config).server("b").teardown
    tear_down(config, config.deployments[1], path)
    assert (read_json(path) or {})["state"] is None
    tear_down(config, make_deployment("b", type="none"), path)
    assert set(read_json(path) or {}) == {"schema_version", "snakeval_version", "deployment", "type", "torn_down_at"}
    assert backend.calls == ["stop b"]


def test_lock_file_names_what_made_the_numbers(config: Config) -> None:
    result = build_result(config, config.deployments[0], config.tasks[1], make_outcome(), 0.0, 1.0, 1)
    path = _paths(config).task("a", "gsm8k").result
    result.write(path)
    write_lock_file(config)
    content = yaml.safe_load(_paths(config).lock_file.read_text(encoding="utf-8"))
    assert content["snakeval"] == __version__
    assert list(content["environments"]) == ["llamacpp", "lm-eval"]
    for family, environment in content["environments"].items():
        assert len(environment["lock_sha256"]) == 64
        name, version = next(iter(environment["packages"].items()))
        assert f"{name}=={version}" in (ENVS / f"{family}.lock").read_text(encoding="utf-8")
    assert content["results"] == {
        "a/gsm8k": {
            "fingerprint": {"deployment": "fingerprint-of-a", "task": "fingerprint-of-gsm8k"},
            "versions": {"snakeval": __version__, "harness": "1.2"},
        }
    }
    path.write_text("{}", encoding="utf-8")
    with pytest.raises(HarnessError, match="malformed"):
        write_lock_file(config)


def test_resolved_config_can_be_loaded_again(config: Config) -> None:
    write_resolved_config(config)
    assert yaml.safe_load(_paths(config).resolved_config.read_text(encoding="utf-8")) == {"run": "demo"}
