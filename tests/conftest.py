"""Fixtures that every kind of test uses."""

import os
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from chaos.seeds import VARIABLE, first_seed, settle
from containers import Podman, set_up
from left_out import lines_about, refuse_in_ci
from snakeval.system.environments import ensure_environment
from workspace import ENVIRONMENTS, REPOSITORY, Workspace
from xdist.scheduler import LoadScopeScheduling

# An example that takes longer on a busy machine is no defect.
hypothesis.settings.register_profile("snakeval", deadline=None)
hypothesis.settings.load_profile("snakeval")


class SomeTogether(LoadScopeScheduling):  # type: ignore[misc]
    """Gives every test to whichever worker is free, and all tests of the cluster to one, as those of chaos.

    Some fill the cluster, and some take a node away; those of chaos share a run that nothing disturbs. The mark
    xdist_group has no effect in pytest-xdist 3.8 with pytest 9.2.
    """

    def _split_scope(self, nodeid: str) -> str:
        return next((folder for folder in ("tests/cluster", "tests/chaos") if nodeid.startswith(f"{folder}/")), nodeid)


def pytest_configure() -> None:
    """Settle what all workers have to agree on, before there are any."""
    settle()


def pytest_report_header() -> str:
    """Say how this session's chaos is repeated."""
    return f"{VARIABLE}={first_seed()}"


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> SomeTogether:
    """Distribute the tests over the workers of `pytest -n`."""
    return SomeTogether(config, log)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """See `left_out.refuse_in_ci`."""
    report = yield
    refuse_in_ci(report)
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say at the end which tests were left out, and why."""
    if lines := lines_about(terminalreporter.getreports("skipped")):
        terminalreporter.section("left out")
        for line in lines:
            terminalreporter.line(line)


@pytest.fixture(scope="session", autouse=True)
def _environments_of_the_repository() -> Iterator[None]:
    before = os.environ.get("SNAKEVAL_ENVIRONMENTS")
    os.environ["SNAKEVAL_ENVIRONMENTS"] = str(ENVIRONMENTS)
    yield
    if before is None:
        del os.environ["SNAKEVAL_ENVIRONMENTS"]
    else:
        os.environ["SNAKEVAL_ENVIRONMENTS"] = before


@pytest.fixture(scope="session")
def lm_eval_python(_environments_of_the_repository: None) -> Path:
    """Interpreter of the lm-eval environment, built when it is missing."""
    return ensure_environment(REPOSITORY / "envs" / "lm-eval.lock")


@pytest.fixture(scope="session")
def inspect_python(_environments_of_the_repository: None) -> Path:
    """Interpreter of the inspect environment, built when it is missing."""
    return ensure_environment(REPOSITORY / "envs" / "inspect.lock")


@pytest.fixture(scope="session")
def inspect_evals_python(_environments_of_the_repository: None) -> Path:
    """Interpreter of the inspect_evals environment, built when it is missing."""
    return ensure_environment(REPOSITORY / "envs" / "inspect_evals.lock")


@pytest.fixture(scope="session")
def llamacpp_python(_environments_of_the_repository: None) -> Path:
    """Interpreter of the llamacpp environment, built when it is missing."""
    return ensure_environment(REPOSITORY / "envs" / "llamacpp.lock")


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    """An empty working directory; what a test leaves running in it is ended, and is a failure of the test."""
    space = Workspace(tmp_path)
    yield space
    left = space.close()
    assert not left, f"servers left behind: {left}"


@pytest.fixture(scope="session")
def podman_storage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Podman]:
    """Podman with an image and a storage of its own; removed with all that is in it."""
    with pytest.MonkeyPatch.context() as patch:
        podman = set_up(tmp_path_factory.mktemp("podman"), patch)
        yield podman
        podman("system", "reset", "--force")


@pytest.fixture
def podman(podman_storage: Podman) -> Iterator[Podman]:
    """The same; a container that a test leaves is removed, and is a failure of the test."""
    yield podman_storage
    left = [container["Names"] for container in podman_storage.containers()]
    podman_storage("rm", "--all", "--force", "--time=0")
    assert not left, f"containers left behind: {left}"
