"""What becomes of jobs and endpoints on Lepton, and what they are called: the pure side."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from builders import make_deployment, make_execution
from hypothesis import given
from hypothesis import strategies as st
from snakemake_executor_plugin_lepton.jobs import (
    JobSpec,
    Mount,
    assignments,
    command_of,
    job_name,
    workdir_prefix,
)
from snakemake_executor_plugin_lepton.model import EndpointRow, Failure, Issue, LeptonError, Termination
from snakemake_executor_plugin_lepton.patience import Patience
from snakemake_executor_plugin_lepton.states import Verdict, Watched, judge, news, wants_reason
from snakeval.backends.lepton.spec import endpoint_name, endpoint_spec, secret_references, spec_hash
from snakeval.backends.lepton.state import MISSING_LIMIT, Seen, joined
from snakeval.config.reading.tree import Node
from snakeval.run.server import ServerRecord, ServerState

NAME = r"[a-z][a-z0-9-]{0,34}[a-z0-9]"
NO_ROOM = Issue("NoCapacity", "no node")
NO_IMAGE = Issue("Failed", "ImagePullBackOff")


def _watched(**changes: Any) -> Watched:
    return Watched(**{"job_id": "smk-a-1", "name": "smk-a", "since": 0.0, **changes})


@pytest.mark.parametrize(
    ("state", "issue", "now", "verdict", "words"),
    [
        ("Completed", None, 1, Verdict.SUCCEEDED, ""),
        ("Failed", None, 1, Verdict.FAILED, "has ended: Failed"),
        ("Stopped", None, 1, Verdict.FAILED, "has ended: Stopped"),
        ("Archived", None, 1, Verdict.FAILED, "has ended: Archived"),
        ("Running", None, 9999, Verdict.GOES_ON, ""),
        ("PendingRetry", None, 9999, Verdict.GOES_ON, ""),
        ("a state of tomorrow", None, 9999, Verdict.GOES_ON, ""),
        ("Starting", Issue("InProgress", "Pulling image"), 99, Verdict.GOES_ON, ""),
        ("Starting", NO_IMAGE, 1, Verdict.FAILED, "cannot start: Starting, Failed: ImagePullBackOff (check the image"),
        ("Starting", Issue("ConfigError", "Mount point not found"), 1, Verdict.FAILED, "Mount point not found"),
        ("Queueing", NO_ROOM, 99, Verdict.GOES_ON, ""),
        ("Queueing", NO_ROOM, 101, Verdict.FAILED, "still Queueing after --lepton-start-timeout (100 s), NoCapacity"),
    ],
)
def test_verdicts(state: str, issue: Issue | None, now: float, verdict: Verdict, words: str) -> None:
    judgement = judge(_watched(issue=issue), state, now, 100)
    assert judgement.verdict is verdict
    assert words in judgement.message


def test_a_job_is_lost_when_it_is_missing_again_and_again() -> None:
    job = _watched()
    verdicts = [judge(job, state, 1, 100).verdict for state in (None, None, "Running", None, None, None)]
    assert verdicts == [Verdict.GOES_ON] * 5 + [Verdict.FAILED]


def test_reasons_are_asked_for_rarely_and_told_once() -> None:
    job = _watched()
    assert wants_reason(job, "Starting", 0, 60)
    job.asked, job.issue = 0, NO_ROOM
    assert not wants_reason(job, "Starting", 59, 60)
    assert wants_reason(job, "Queueing", 60, 60)
    assert not wants_reason(job, "Running", 999, 60)
    assert news(job) == "Lepton job smk-a-1 waits: NoCapacity: no node"
    assert news(job) is None


@given(st.text(max_size=60), st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=3))
def test_job_names_are_those_that_lepton_takes(rule: str, identity: dict[str, str]) -> None:
    import re

    name = job_name("smk-01234567-", rule, identity)
    assert re.fullmatch(NAME, name)
    assert not name.endswith("by-lepton")
    assert name == job_name("smk-01234567-", rule, identity)


def test_other_work_has_another_name() -> None:
    base = {"outputs": ["a"], "code": ["x"], "params": ["1"]}
    names = {job_name("smk-0-", "r", base | change) for change in ({}, {"code": ["y"]}, {"params": ["2"]})}
    assert len(names) == 3


def test_a_working_directory_keeps_its_prefix_and_shares_it_with_nobody(tmp_path: Path) -> None:
    one = workdir_prefix(Path("/workspace"), tmp_path / "a")
    assert one == workdir_prefix(Path("/workspace"), tmp_path / "a")
    assert one != workdir_prefix(Path("/workspace"), tmp_path / "b"), "another volume at the same path"


def test_settings_are_read_or_refused() -> None:
    assert Mount.parse("/x:/workspace:node-nfs:shared").spec() == {
        "path": "/x",
        "from": "node-nfs:shared",
        "mount_path": "/workspace",
    }
    assert assignments(["HF_TOKEN=my-token", "KEY"], lone=True) == {"HF_TOKEN": "my-token", "KEY": "KEY"}
    for wrong in ("workspace", "/x:workspace:v", "::"):
        with pytest.raises(ValueError, match="is not of the form"):
            Mount.parse(wrong)
    with pytest.raises(ValueError, match="not the beginning") as raised:
        assignments(["KEY", "1X=very-secret"], lone=False)
    assert "very-secret" not in str(raised.value)


def test_the_command_has_its_place_and_its_time_limit() -> None:
    assert command_of("python -m snakemake 'a b'", Path("/work dir"), 5)[2] == (
        "cd '/work dir' && exec timeout -k 60 300 /bin/bash -c 'python -m snakemake '\"'\"'a b'\"'\"''"
    )
    assert command_of("x", None, None)[2] == 'cd "$(mktemp -d)" && exec /bin/bash -c x'


def test_only_snakemake_retries() -> None:
    spec = JobSpec("image", ["x"], "cpu.small", "ng-1", [], {"A": "secret"}, {"B": "b"}, [], 64, "mid-4000").spec()
    assert (spec["max_failure_retry"], spec["max_job_failure_retry"]) == (0, 0)
    assert spec["envs"] == [{"name": "A", "value_from": {"secret_name_ref": "secret"}}, {"name": "B", "value": "b"}]
    assert spec["affinity"] == {"allowed_dedicated_node_groups": ["ng-1"]}


def test_patience_ends_for_what_the_user_has_to_mend() -> None:
    patience = Patience({Failure.UNAUTHORIZED: 0.0})
    outage = LeptonError(Failure.UNAVAILABLE, "x")
    assert [patience.failed(outage) for _ in range(8)] == [1, 2, 4, 8, 16, 32, 60, 60]
    assert patience.worked()
    assert not patience.worked()
    for failure in (Failure.UNAUTHORIZED, Failure.REFUSED):
        with pytest.raises(LeptonError):
            patience.failed(LeptonError(failure, "x"))


RECORD = ServerRecord(ServerState.STARTING, "0123456789abcdef", endpoint="sv-a")
READY = replace(RECORD, state=ServerState.READY, generation=1, ready_at=1.0, url="http://x")

ENDS = [Termination(9, "Error", "")] * 3


def _row(state: str, phase: str | None = None) -> EndpointRow:
    return EndpointRow("sv-a", state, phase or state, "http://x")


@pytest.mark.parametrize(
    ("record", "seen", "state", "words"),
    [
        (RECORD, Seen(_row("Starting"), NO_ROOM), "PENDING", "NoCapacity: no node"),
        (RECORD, Seen(_row("Starting"), Issue("InProgress", "Pulling image")), "STARTING", "Pulling image"),
        (RECORD, Seen(_row("Starting"), NO_IMAGE), "FAILED", "check the image's name"),
        (
            RECORD,
            Seen(_row("Starting"), None, [Termination(3, "Error", "")]),
            "FAILED",
            "before it was ready (exit code 3)",
        ),
        (RECORD, Seen(_row("Starting"), Issue("UserCodeError", "exit 3")), "FAILED", "UserCodeError: exit 3"),
        (RECORD, Seen(_row("Error")), "FAILED", "state Error"),
        (RECORD, Seen(_row("UNK")), "STARTING", "UNK"),
        (RECORD, Seen(_row("Deleting")), "FAILED", "does not exist any more"),
        (RECORD, Seen(_row("Ready")), "READY", None),
        (READY, Seen(_row("Starting"), None, ENDS[:2]), "STARTING", "Starting"),
        (
            READY,
            Seen(_row("Starting"), None, ENDS),
            "FAILED",
            "ended 3 times (exit code 9)",
        ),
        (READY, Seen(_row("Not Ready", "Stopped")), "PENDING", "scaled to zero"),
    ],
)
def test_a_server_is_what_its_endpoint_says(record: ServerRecord, seen: Seen, state: str, words: str | None) -> None:
    found = joined(record, seen, max_restarts=2)
    assert found.state == state
    assert words in str(found.reason) if words else found.reason is None


def test_a_server_that_was_restarted_is_another_process() -> None:
    assert joined(READY, Seen(_row("Ready")), 2).generation == 1
    assert joined(replace(READY, state=ServerState.STARTING), Seen(_row("Ready")), 2).generation == 2


def test_an_endpoint_is_gone_when_it_is_missing_again_and_again() -> None:
    record = READY
    for _ in range(MISSING_LIMIT):
        record = joined(record, Seen(None), 2)
    assert record.state == ServerState.FAILED


OPTIONS: dict[str, Any] = {
    "resource_shape": "gpu.1xh200",
    "node_group": "h100",
    "image": "ubuntu:24.04",
    "image_pull_secrets": ["own"],
    "min_replicas": 1,
    "max_replicas": 1,
    "shared_memory_mb": None,
    "queue_config": {"priority_class": "mid-4000", "can_preempt": None},
    "volumes": [{"from": "node-nfs:shared", "mount_path": "/workspace"}],
    "secrets": {"HF_TOKEN": "my-token"},
    "api_token_secret": None,
    "pending_timeout_s": 60,
}


def test_an_endpoint_is_private_and_names_secrets_only(tmp_path: Path) -> None:
    execution = replace(make_execution(tmp_path), type="lepton", options=Node(OPTIONS))
    own = {
        "resource_shape": "gpu.2xh200",
        "max_replicas": 3,
        "auto_scaler": {"scale_down": {"no_traffic_timeout": 3600, "not_ready_timeout": None}},
        "envs": {"A": "b", "KEY": {"value_from": {"secret_name_ref": "key"}}},
        "mounts": {"enabled": True, "cache_path": "/m", "mount_path": "/opt/nim/.cache", "from": None},
    }
    variables = {"HF_TOKEN": "host:HF_TOKEN", "MODE": "lit:fast", "PATH": "runtime:PATH"}
    deployment = make_deployment(env_vars=variables, lepton_config=own)
    spec = endpoint_spec(deployment, execution, "exec server", "key-of-it", {"h100": "ng-1"})
    assert spec == {
        "container": {
            "image": "ubuntu:24.04",
            "ports": [{"container_port": 8000}],
            "command": ["/bin/bash", "-c", "exec server"],
        },
        "resource_requirement": {
            "resource_shape": "gpu.2xh200",
            "min_replicas": 1,
            "max_replicas": 3,
            "affinity": {"allowed_dedicated_node_groups": ["ng-1"]},
        },
        "auto_scaler": {"scale_down": {"no_traffic_timeout": 3600, "not_ready_timeout": 120}},
        "api_tokens": [{"value_from": {"token_name_ref": "key-of-it"}}],
        "envs": [
            {"name": "A", "value": "b"},
            {"name": "MODE", "value": "fast"},
            {"name": "HF_TOKEN", "value_from": {"secret_name_ref": "my-token"}},
            {"name": "KEY", "value_from": {"secret_name_ref": "key"}},
        ],
        "mounts": [
            {"path": "/", "from": "node-nfs:shared", "mount_path": "/workspace"},
            {"path": "/m", "from": "node-nfs:shared", "mount_path": "/opt/nim/.cache"},
        ],
        "image_pull_secrets": ["own"],
        "health": {"liveness": {"initial_delay_seconds": 60, "tcp": {"port": 8000}}},
        "log": {"enable_collection": True},
        "queue_config": {"priority_class": "mid-4000"},
    }
    assert secret_references(deployment, execution) == {"HF_TOKEN": "my-token", "KEY": "key"}
    assert spec_hash(spec) != spec_hash(spec | {"image_pull_secrets": []})


@given(st.text(min_size=1, max_size=50), st.text(min_size=1, max_size=50))
def test_endpoint_names_are_those_that_lepton_takes(run: str, name: str) -> None:
    import re

    assert re.fullmatch(NAME, endpoint_name("0123456789abcdef", run, make_deployment(name)))
