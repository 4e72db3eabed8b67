"""The adapter of the SDK against the stand-in control plane: what is sent, and what answers and errors become."""

import json

import pytest
import requests
from fakes.lepton_control_plane import ControlPlane
from lepton.conftest import MARKS, free_port
from snakemake_executor_plugin_lepton.api import Lepton, has_credentials
from snakemake_executor_plugin_lepton.checks import Needs, find
from snakemake_executor_plugin_lepton.model import Failure, LeptonError
from workspace import eventually


def _job(command: str, shape: str = "cpu.small", image: str = "ubuntu:24.04") -> dict[str, object]:
    return {
        "resource_shape": shape,
        "container": {"image": image, "command": ["/bin/bash", "-c", command]},
        "envs": [{"name": "SECRET", "value_from": {"secret_name_ref": "PLANTED"}}],
    }


def _endpoint(port: int, shape: str = "gpu.1xh200", **more: object) -> dict[str, object]:
    command = ["python3", "-m", "http.server", str(port)]
    return {
        "container": {"image": "ubuntu:24.04", "command": command, "ports": [{"container_port": port}]},
        "resource_requirement": {"resource_shape": shape, "min_replicas": 1, "max_replicas": 1},
        "api_tokens": [{"value_from": {"token_name_ref": "PLANTED"}}],
        **more,
    }


def test_a_job_runs_to_its_end_with_its_secret(one_plane: ControlPlane) -> None:
    lepton = Lepton()
    job_id = lepton.create_job("smk-a", {"who": "test"}, _job('test -n "$SECRET" && echo seen'))
    eventually(lambda: [row.state for row in lepton.jobs("smk-")] == ["Completed"])
    assert lepton.job_log(job_id) == "seen\n"
    (created,) = [one.body for one in one_plane.requests if (one.method, one.path) == ("POST", "/jobs")]
    assert created["metadata"] == {
        "id": "smk-a",
        "name": "smk-a",
        "labels": {"who": "test"},
        "visibility": "private",
    }
    lepton.delete_job(job_id)
    lepton.delete_job(job_id)
    assert lepton.jobs("smk-") == []


def test_an_endpoint_lives_sleeps_wakes_and_dies(plane: ControlPlane) -> None:
    lepton, port = Lepton(), free_port()
    lepton.create_endpoint("sv-a", {"who": "test"}, _endpoint(port))
    eventually(lambda: lepton.endpoint("sv-a").state == "Ready")
    url = lepton.endpoint("sv-a").url
    assert url is not None
    key = {"Authorization": f"Bearer {MARKS['PLANTED']}"}
    assert [requests.get(url, headers=head, timeout=9).status_code for head in ({}, key)] == [401, 200]
    lepton.stop_endpoint("sv-a")
    asleep = lepton.endpoint("sv-a")
    assert (asleep.state, asleep.phase) == ("Not Ready", "Stopped")
    lepton.wake_endpoint("sv-a", 1)
    eventually(lambda: lepton.endpoint("sv-a").state == "Ready")
    assert "GET / HTTP" in lepton.endpoint_log("sv-a")
    assert [row.name for row in lepton.endpoints()] == ["sv-a"]
    lepton.delete_endpoint("sv-a")
    lepton.delete_endpoint("sv-a")
    with pytest.raises(LeptonError) as raised:
        lepton.endpoint("sv-a")
    assert raised.value.failure is Failure.NOT_FOUND
    created = next(one.body for one in plane.requests if one.method == "POST")
    assert plane.new_family == ("components" in created["spec"])
    assert '"private"' in json.dumps(created["metadata"])


def test_reasons_are_those_that_the_sdk_drops(plane: ControlPlane) -> None:
    lepton = Lepton()
    job_id = lepton.create_job("smk-a", {}, _job("true", image="nopull/x:1"))
    lepton.create_endpoint("sv-a", {}, _endpoint(free_port(), shape="gpu.nocap"))
    assert str(eventually(lambda: lepton.job_issue(job_id))) == "Failed: ImagePullBackOff: no such image"
    assert str(eventually(lambda: lepton.endpoint_issue("sv-a"))) == "NoCapacity: no node with free resources"


def test_errors_tell_what_to_do_and_hold_no_token(plane: ControlPlane) -> None:
    lepton = Lepton()
    with pytest.raises(LeptonError, match=r"400 QuotaExceeded quota of cpu\.quota is used up") as raised:
        lepton.create_job("smk-a", {}, _job("true", shape="cpu.quota"))
    assert raised.value.failure is Failure.REFUSED
    with pytest.raises(LeptonError, match="must start with a lowercase letter") as raised:
        lepton.create_job("9", {}, _job("true"))
    plane.down = True
    with pytest.raises(LeptonError) as raised:
        lepton.endpoints()
    assert raised.value.failure is Failure.UNAVAILABLE
    plane.down, plane.expired = False, True
    with pytest.raises(LeptonError) as raised:
        lepton.jobs("smk-")
    assert raised.value.failure is Failure.UNAUTHORIZED
    assert plane.token not in repr(raised.value.__dict__) + str(raised.value)
    assert raised.value.__cause__ is None


def test_an_outage_does_not_make_a_new_workspace_an_old_one(plane: ControlPlane) -> None:
    """The SDK would speak the legacy API for the rest of the process, and find none of its endpoints."""
    lepton = Lepton()
    plane.down = True
    with pytest.raises(LeptonError):
        lepton.endpoints()
    plane.down = False
    assert lepton.endpoints() == []


def test_without_a_token_there_is_a_message(one_plane: ControlPlane, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LEPTON_WORKSPACE_TOKEN")
    assert not has_credentials()
    with pytest.raises(LeptonError, match="no Lepton workspace or no token is known here"):
        Lepton()
    (finding,) = find(Needs())
    assert finding.what == "cannot be used (unauthorized)"


def test_a_token_in_the_workspace_variable_counts(one_plane: ControlPlane, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LEPTON_WORKSPACE_TOKEN")
    monkeypatch.setenv("LEPTON_WORKSPACE_ID", f"testws:{one_plane.token}")
    assert Lepton().node_groups()[0].name == "h100"


def test_everything_that_is_wrong_is_found_at_once(one_plane: ControlPlane) -> None:
    one_plane.expires_in_s = 60
    needs = Needs(
        node_groups=[("execution.node_group", "h10")],
        shapes=[("a", "gpu.1xh20", None, "deployment"), ("b", "cpu.small", "h100", "job")],
        secrets=[("c", "PLANTED"), ("d", "MISSING")],
        volumes=[("e", "node-nfs:shard", None), ("f", "node-local", None), ("g", "node-nfs:shared", "h100")],
        pull_secrets=[("h", "lepton-nvidia")],
        ends_at=4e9,
    )
    found = {one.where: one for one in find(needs)}
    assert list(found) == ["the Lepton token", "execution.node_group", "d", "a", "e", "h"]
    assert found["a"].expected.endswith("(did you mean gpu.1xh200?)")
    assert {one.method for one in one_plane.requests} == {"GET"}


def test_lists_longer_than_a_page_are_read_whole(one_plane: ControlPlane, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("snakemake_executor_plugin_lepton.api.PAGE_SIZE", 2)
    lepton = Lepton()
    for number in range(3):
        lepton.create_job(f"smk-{number}", {}, _job("true", shape="cpu.nocap"))
    before = one_plane.count("GET", "/jobs")
    assert len(lepton.jobs("smk-")) == 3
    assert one_plane.count("GET", "/jobs") == before + 2
