"""The vendor's own command line against the stand-in control plane, which has to say what real clients understand."""

import json
import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from fakes.lepton_control_plane import ControlPlane
from lepton.conftest import free_port
from snakeval.system.environments import ensure_environment
from workspace import REPOSITORY, eventually

Lep = Callable[..., str]


def _lep(tmp_path: Path) -> Lep:
    """Return a function that calls `lep` and returns what it prints."""
    program = ensure_environment(REPOSITORY / "envs" / "lepton-cli.lock").with_name("lep")
    # Without it, it would ask the package index for a newer version of itself.
    (tmp_path / "latest_version_check").write_text(str(time.time()))
    environment = os.environ | {"LEPTON_CACHE_DIR": str(tmp_path), "COLUMNS": "1000"}

    def call(*arguments: str) -> str:
        done = subprocess.run(
            [program, *arguments], env=environment, capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return call


def test_endpoints_of_lep(plane: ControlPlane, tmp_path: Path) -> None:
    lep, port = _lep(tmp_path), free_port()
    spec = {
        "container": {
            "image": "ubuntu:24.04",
            "command": ["python3", "-m", "http.server", str(port)],
            "ports": [{"container_port": port}],
        },
        "resource_requirement": {"resource_shape": "gpu.1xh200", "min_replicas": 1, "max_replicas": 1},
        "api_tokens": [{"value_from": {"token_name_ref": "PLANTED"}}],
    }
    file = tmp_path / "endpoint.json"
    file.write_text(json.dumps(spec))
    lep("endpoint", "create", "-n", "served", "-f", str(file))
    eventually(lambda: plane.endpoints["served"].state == "Ready")
    assert "Ready" in lep("endpoint", "list")
    lep("endpoint", "remove", "-n", "served")
    assert plane.endpoints == {}


def test_jobs_and_secrets_of_lep(one_plane: ControlPlane, tmp_path: Path) -> None:
    lep = _lep(tmp_path)
    lep("secret", "create", "-n", "KEY", "-v", "value-of-key")
    assert one_plane.secrets["KEY"] == "value-of-key"
    run = ["--resource-shape", "cpu.small", "--container-image", "ubuntu:24.04", "--command", "echo said by a job"]
    lep("job", "create", "-n", "batch", *run)
    eventually(lambda: [job.state for job in one_plane.jobs.values()] == ["Completed"])
    (job_id,) = one_plane.jobs
    assert job_id in lep("job", "list")
    assert "said by a job" in lep("log", "get", "-j", job_id, "--without-timestamp")
    lep("job", "remove", "-i", job_id)
    assert one_plane.jobs == {}
