"""A workspace of Lepton on this machine: the stand-in control plane, in both wire families."""

import os
import socket
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

# The SDK reads it when it is imported; a login of the developer must not be used.
os.environ["LEPTON_CACHE_DIR"] = tempfile.mkdtemp(prefix="lepton-cache-")

import pytest
from builders import make_config, make_deployment, make_execution
from fakes.lepton_control_plane import ControlPlane
from snakeval.backends.lepton.backend import LeptonBackend
from snakeval.config.model import Config, Deployment
from snakeval.config.reading.tree import Node
from workspace import REPOSITORY, Workspace

MARKS = {"PLANTED": "planted-value-of-a-secret"}
SERVER = str(REPOSITORY / "tests" / "fakes" / "openai_server.py")
OPTIONS: Mapping[str, Any] = {
    "resource_shape": "gpu.1xh200",
    "node_group": "h100",
    "image": "ubuntu:24.04",
    "image_pull_secrets": [],
    "min_replicas": 1,
    "max_replicas": 1,
    "shared_memory_mb": None,
    "queue_config": None,
    "volumes": [{"from": "node-nfs:shared", "mount_path": "/workspace"}],
    "secrets": {},
    "api_token_secret": None,
    "api_token_variable": None,
    "pending_timeout_s": 60,
    "planned_duration_s": 600,
}


def free_port() -> int:
    """Return a port of this machine: the stand-in has no containers with ports of their own."""
    with socket.socket() as probe:
        probe.bind(("", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(params=["legacy", "new"])
def plane(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[ControlPlane]:
    """A control plane of each wire family, to which this process is logged in."""
    with ControlPlane(new_family=request.param == "new", secrets=dict(MARKS)) as running:
        for name, value in running.environ.items():
            monkeypatch.setenv(name, value)
        yield running


@pytest.fixture
def one_plane(monkeypatch: pytest.MonkeyPatch) -> Iterator[ControlPlane]:
    """A control plane where the wire family makes no difference."""
    with ControlPlane(secrets=dict(MARKS)) as running:
        for name, value in running.environ.items():
            monkeypatch.setenv(name, value)
        yield running


def serving(*faults: str, name: str = "tiny", port: int | None = None, **options: Any) -> Deployment:
    """Return a deployment that the stand-in OpenAI server serves."""
    port = port or free_port()
    words = [sys.executable, SERVER, "--port", str(port), "--model", "tiny-model"]
    for fault in faults:
        words += ["--fault", fault]
    return make_deployment(name, port=port, **{"command": words, **options})


@pytest.fixture
def make_backend(tmp_path: Path) -> Callable[..., LeptonBackend]:
    """Return a function that makes a backend: deployments, and changes of the execution's options."""

    def make(*deployments: Deployment, idle_timeout_s: int = 600, **changes: Any) -> LeptonBackend:
        return LeptonBackend(lepton_config(tmp_path, deployments, idle_timeout_s, **changes))

    return make


def lepton_config(folder: Path, deployments: Sequence[Deployment], idle_timeout_s: int = 600, **changes: Any) -> Config:
    """Return a run on Lepton."""
    execution = make_execution(folder)
    options = {**OPTIONS, **changes}
    execution = replace(execution, type="lepton", idle_timeout_s=idle_timeout_s, options=Node(options))
    return replace(make_config(folder, deployments), execution=execution)


class LeptonWorkspace(Workspace):
    """A working directory whose runs go to the control plane."""

    def __init__(self, folder: Path, plane: ControlPlane) -> None:
        super().__init__(folder)
        self.plane = plane
        self.environ |= plane.environ
        # Snakemake itself has it; no job and no recorded request may.
        self.environ |= {"LEPTON_CACHE_DIR": os.environ["LEPTON_CACHE_DIR"], **MARKS}

    def command(self, *arguments: str, cores: int = 20) -> list[str]:
        """Return a call of Snakeval with the Lepton profile."""
        own = ["--profile", str(REPOSITORY / "profiles" / "lepton"), "--seconds-between-status-checks", "1"]
        shared = ["--lepton-env", f"SNAKEVAL_ENVIRONMENTS={self.environ['SNAKEVAL_ENVIRONMENTS']}"]
        return super().command("--cores", str(cores), *own, *shared, "--latency-wait", "10", *arguments)


class ToyWorkspace(LeptonWorkspace):
    """A working directory with a workflow of its own, which needs nothing of Snakeval."""

    def command(self, *arguments: str, cores: int = 20) -> list[str]:
        """Return a call with the executor."""
        given = ["--executor", "lepton", "--jobs", "300", "--lepton-image", "ubuntu:24.04"]
        quick = ["--seconds-between-status-checks", "1", "--lepton-reason-interval", "1", "--keep-going"]
        return [sys.executable, "-m", "snakemake", *given, *quick, *arguments]


@pytest.fixture
def toy(tmp_path: Path, one_plane: ControlPlane) -> Iterator[ToyWorkspace]:
    """An empty working directory for a workflow of its own beside a control plane."""
    found = ToyWorkspace(tmp_path, one_plane)
    yield found
    found.close()


@pytest.fixture
def space(tmp_path: Path, one_plane: ControlPlane) -> Iterator[LeptonWorkspace]:
    """An empty working directory beside a control plane of the older family."""
    found = LeptonWorkspace(tmp_path, one_plane)
    yield found
    found.close()


@pytest.fixture
def any_space(tmp_path: Path, plane: ControlPlane) -> Iterator[LeptonWorkspace]:
    """An empty working directory beside a control plane of each family."""
    found = LeptonWorkspace(tmp_path, plane)
    yield found
    found.close()
