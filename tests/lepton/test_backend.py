"""Servers as endpoints: the four verbs and the keeper against the stand-in control plane, and what faults become."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import requests
from fakes.lepton_control_plane import ControlPlane
from lepton.conftest import free_port, lepton_config, serving
from snakeval.backends.lepton.backend import LeptonBackend
from snakeval.backends.lepton.keeper import Keeper
from snakeval.backends.lepton.leftovers import LeptonLeftovers
from snakeval.backends.lepton.preflight import lepton_problems
from snakeval.config.model import Deployment
from snakeval.deployments.endpoint import server_endpoint
from snakeval.endpoint import Protocol
from snakeval.errors import DeploymentError, EndpointError
from snakeval.run.claims import claim
from snakeval.run.paths import RunPaths
from snakeval.run.server import ServerRecord, ServerState
from snakeval.serving.probe import check_endpoint
from snakeval.workflow.leftovers import clean_up
from workspace import eventually

MakeBackend = Callable[..., LeptonBackend]


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ask Lepton at every look."""
    monkeypatch.setattr("snakeval.backends.lepton.backend.ASK_EVERY_S", 0.0)


def _wait_for(backend: LeptonBackend, state: ServerState, name: str = "tiny") -> str | None:
    eventually(lambda: backend.state(name).state is state, 30, f"{state}, not {backend.state(name)}")
    return backend.state(name).reason


def _ready(make_backend: MakeBackend, deployment: Deployment) -> LeptonBackend:
    """Return a backend whose server is ready."""
    backend = make_backend(deployment)
    backend.start(deployment)
    _wait_for(backend, ServerState.READY)
    return backend


def _noting(states: list[str]) -> Callable[[ServerRecord, Path], None]:
    """Return a `write` that notes the states which records get."""
    write = ServerRecord.write

    def noting(record: ServerRecord, path: Path) -> None:
        states.append(str(record.state))
        write(record, path)

    return noting


def test_an_endpoint_serves_whoever_has_its_key_and_is_gone_when_stopped(
    plane: ControlPlane, make_backend: MakeBackend, tmp_path: Path
) -> None:
    deployment = serving()
    backend = _ready(make_backend, deployment)
    server = backend.state("tiny")
    assert server.definition == backend.definition(deployment)
    endpoint = server_endpoint(lepton_config(tmp_path, [deployment]), deployment, server)
    assert endpoint.api_key is not None
    check_endpoint(endpoint, Protocol.CHAT, server.guarded)
    bodies = [json.dumps(one.body) for one in plane.requests if one.path != "/usersecrets"]
    assert not any(endpoint.api_key in body for body in bodies), "its key went to the store of secrets alone"
    secrets = tmp_path / "demo" / "tiny" / "server" / "secrets.json"
    assert secrets.stat().st_mode & 0o777 == 0o600
    backend.stop("tiny")
    backend.stop("tiny")
    assert backend.state("tiny").state is ServerState.STOPPED
    assert (plane.endpoints, list(plane.secrets), secrets.exists()) == ({}, ["PLANTED"], False)
    assert "serving tiny-model" in backend.log_tail("tiny")


def test_an_endpoint_of_another_run_is_left_alone(
    plane: ControlPlane, make_backend: MakeBackend, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    backend = _ready(make_backend, serving())
    owner = tmp_path / "demo" / ".lepton-owner"
    own = owner.read_text()
    owner.write_text("0123456789abcdef")
    backend.stop("tiny")
    (name,) = plane.endpoints
    assert f"the endpoint {name} is none of this run" in capsys.readouterr().err
    owner.write_text(own)
    backend.stop("tiny")
    assert plane.endpoints == {}


def test_a_key_of_the_users_own_is_in_no_file_and_in_no_request(
    plane: ControlPlane, make_backend: MakeBackend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PLANTED", plane.secrets["PLANTED"])
    deployment = serving(lepton_config={"api_tokens": [{"value_from": {"token_name_ref": "PLANTED"}}]})
    backend = _ready(make_backend, deployment)
    endpoint = server_endpoint(lepton_config(tmp_path, [deployment]), deployment, backend.state("tiny"))
    check_endpoint(endpoint, Protocol.CHAT, True)
    backend.stop("tiny")
    assert list(plane.secrets) == ["PLANTED"], "it is not ours to delete"
    everything = plane.bodies() + "".join(file.read_text() for file in tmp_path.rglob("*") if file.is_file())
    assert plane.secrets["PLANTED"] not in everything


@pytest.mark.parametrize(
    ("changes", "state", "reason"),
    [
        ({"resource_shape": "gpu.nocap"}, ServerState.PENDING, "NoCapacity: no node with free resources"),
        ({"image": "nopull/x:1"}, ServerState.FAILED, "cannot start: Failed: ImagePullBackOff: no such image (check"),
    ],
)
def test_what_cannot_start_says_why(
    plane: ControlPlane, make_backend: MakeBackend, changes: dict[str, str], state: ServerState, reason: str
) -> None:
    deployment = serving()
    backend = make_backend(deployment, **changes)
    backend.start(deployment)
    eventually(lambda: reason in (backend.state("tiny").reason or ""))
    assert backend.state("tiny").state is state
    backend.stop("tiny")
    assert plane.endpoints == {}


def test_a_refusal_is_told_in_leptons_words(plane: ControlPlane, make_backend: MakeBackend) -> None:
    deployment = serving()
    backend = make_backend(deployment, resource_shape="gpu.quota")
    with pytest.raises(DeploymentError, match="did not create the endpoint of tiny: 400 QuotaExceeded quota of gpu"):
        backend.start(deployment)
    assert backend.state("tiny").state is ServerState.FAILED
    backend.stop("tiny")
    assert list(plane.secrets) == ["PLANTED"]


def test_a_server_that_crashes_before_it_is_ready_has_failed_with_its_log(
    plane: ControlPlane, make_backend: MakeBackend
) -> None:
    deployment = serving(command=["bash", "-c", "echo no weights here; exit 3"])
    backend = make_backend(deployment)
    backend.start(deployment)
    reason = _wait_for(backend, ServerState.FAILED)
    assert reason is not None
    assert "exit code 3" in reason
    assert "no weights here" in backend.log_tail("tiny")


def test_a_server_that_was_ready_is_restarted_by_the_platform(plane: ControlPlane, make_backend: MakeBackend) -> None:
    deployment = serving("die-after:0")
    backend = _ready(make_backend, deployment)
    url = backend.state("tiny").url
    key = next(value for name, value in plane.secrets.items() if name != "PLANTED")
    payload = {"model": "tiny-model", "messages": []}
    requests.post(f"{url}/v1/chat/completions", json=payload, headers={"Authorization": f"Bearer {key}"}, timeout=30)
    eventually(lambda: backend.state("tiny").generation == 2)
    assert backend.state("tiny").state is ServerState.READY


def test_an_endpoint_that_sleeps_is_woken_for_its_tasks_alone(
    plane: ControlPlane, make_backend: MakeBackend, tmp_path: Path
) -> None:
    deployment = serving()
    backend = make_backend(deployment, idle_timeout_s=1)
    keeper = Keeper(lepton_config(tmp_path, [deployment], idle_timeout_s=1))
    backend.start(deployment)

    def asleep() -> bool:
        keeper.keep(backend)
        return backend.state("tiny").reason == "scaled to zero"

    eventually(asleep)
    with claim(RunPaths(tmp_path / "demo"), "tiny", "sums"):
        keeper.keep(backend)
        woken = backend.state("tiny")
        assert (woken.state, woken.reason, woken.incarnation) == (ServerState.PENDING, "scaled to zero; woken", 1)
        eventually(lambda: _kept(keeper, backend, backend) is ServerState.READY)


def test_a_deleted_endpoint_is_noticed_and_an_outage_is_not_taken_for_it(
    plane: ControlPlane, make_backend: MakeBackend
) -> None:
    deployment = serving()
    backend = _ready(make_backend, deployment)
    plane.down = True
    assert [backend.state("tiny").state for _ in range(5)] == [ServerState.READY] * 5
    assert "Lepton cannot be asked" in (backend.state("tiny").reason or "")
    plane.down = False
    plane.endpoints.popitem()[1].close()
    assert "does not exist any more" in (_wait_for(backend, ServerState.FAILED) or "")


def test_a_token_that_expires_in_flight_is_read_again(
    plane: ControlPlane, make_backend: MakeBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    deployment = serving()
    backend = _ready(make_backend, deployment)
    plane.token = "another-token-of-this-workspace"
    assert "401" in (eventually(lambda: backend.state("tiny").reason) or "")
    assert backend.state("tiny").lives
    monkeypatch.setenv("LEPTON_WORKSPACE_TOKEN", plane.token)
    eventually(lambda: backend.state("tiny").reason is None)


def test_a_job_without_a_token_has_the_main_process_start_its_server(
    plane: ControlPlane, make_backend: MakeBackend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deployment = serving()
    main = make_backend(deployment)
    monkeypatch.delenv("LEPTON_WORKSPACE_TOKEN")
    inside = make_backend(deployment)
    before = len(plane.requests)
    inside.start(deployment)
    assert inside.state("tiny").state is ServerState.PENDING
    assert len(plane.requests) == before, "without a token nothing is asked"
    monkeypatch.setenv("LEPTON_WORKSPACE_TOKEN", plane.token)
    keeper = Keeper(lepton_config(tmp_path, [deployment]))
    written: list[str] = []
    monkeypatch.setattr(ServerRecord, "write", _noting(written))
    eventually(lambda: _kept(keeper, main, inside) is ServerState.READY)
    assert "READY" in written
    assert "STOPPED" not in written, "the job would take that for the end of its server"
    inside.stop("tiny")
    assert len(plane.endpoints) == 1, "a job cannot end what it cannot see"
    main.stop("tiny")


def test_records_that_are_kept_need_no_question(
    one_plane: ControlPlane, make_backend: MakeBackend, tmp_path: Path
) -> None:
    deployment = serving()
    backend = make_backend(deployment)
    backend.start(deployment)
    Keeper(lepton_config(tmp_path, [deployment])).keep(backend)
    before = len(one_plane.requests)
    for _ in range(5):
        backend.state("tiny")
    assert len(one_plane.requests) == before


def test_an_endpoint_that_a_killed_call_left_is_replaced(
    plane: ControlPlane, make_backend: MakeBackend, tmp_path: Path
) -> None:
    deployment = serving()
    first = make_backend(deployment)
    first.start(deployment)
    (tmp_path / "demo" / "tiny" / "server" / "state.json").unlink()
    second = make_backend(deployment)
    second.start(deployment)
    assert len(plane.endpoints) == 1
    _wait_for(second, ServerState.READY)


def test_what_a_killed_call_left_is_listed_and_deleted(
    plane: ControlPlane, make_backend: MakeBackend, tmp_path: Path
) -> None:
    deployment = serving()
    backend = make_backend(deployment)
    config = lepton_config(tmp_path, [deployment])
    assert LeptonLeftovers(config).find(tmp_path / ".snakemake") == []
    backend.start(deployment)
    (tmp_path / "demo" / "tiny" / "server" / "state.json").unlink()
    found = LeptonLeftovers(config).find(tmp_path / ".snakemake")
    assert [one.kind for one in found] == ["endpoint", "secret"]
    assert len(plane.endpoints) == 1
    said: list[str] = []
    clean_up(config, tmp_path / ".snakemake", found, said.append)
    assert len(said) == 2
    assert (plane.endpoints, list(plane.secrets)) == ({}, ["PLANTED"])


def test_a_stranger_at_the_address_is_not_taken_for_it(
    plane: ControlPlane, make_backend: MakeBackend, tmp_path: Path
) -> None:
    deployment = serving()
    backend = _ready(make_backend, deployment)
    endpoint = server_endpoint(lepton_config(tmp_path, [deployment]), deployment, backend.state("tiny"))
    plane.endpoints[next(iter(plane.endpoints))].tokens.clear()
    with pytest.raises(EndpointError, match="a stranger's server"):
        check_endpoint(endpoint, Protocol.CHAT, backend.state("tiny").guarded)


def test_everything_that_a_run_names_is_looked_up_before(one_plane: ControlPlane, tmp_path: Path) -> None:
    own = {
        "resource_shape": "gpu.8xh100",
        "api_tokens": [{"value_from": {"token_name_ref": "PLANTED"}}],
        "mounts": {"enabled": True, "cache_path": "/m", "mount_path": "/c", "from": "node-nfs:cache"},
        "image_pull_secrets": ["nvidia"],
    }
    deployment = serving(env_vars={"HF_TOKEN": "host:HF_TOKEN"}, lepton_config=own, port=free_port())
    found = lepton_problems(lepton_config(tmp_path, [deployment], planned_duration_s=10**6))
    assert [problem.where for problem in found] == [
        "the Lepton token",
        "deployment tiny: HF_TOKEN",
        "deployment tiny: resource_shape",
        "deployment tiny: lepton_config.mounts.from",
        "deployment tiny: image_pull_secrets",
        "deployment tiny: the key of its endpoint",
    ]
    assert not (tmp_path / "demo" / "tiny" / "server" / "state.json").exists()
    assert {one.method for one in one_plane.requests} == {"GET"}


def _kept(keeper: Keeper, main: LeptonBackend, looked_at: LeptonBackend) -> ServerState:
    """Let the keeper do its round, and return the server's state afterwards."""
    keeper.keep(main)
    return looked_at.state("tiny").state
