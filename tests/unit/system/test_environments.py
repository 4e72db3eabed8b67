"""Environments are named after their locks, and built once whoever asks."""

import os
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from builders import make_task
from snakeval.errors import DeploymentError
from snakeval.harnesses.availability import harness_lock
from snakeval.system import environments
from snakeval.system.checkout import ENVS
from snakeval.system.environments import (
    CACHE_VARIABLE,
    ensure_environment,
    environment_marker,
    environment_name,
    environment_python,
    environments_dir,
)
from snakeval.system.files import locked, read_json


@pytest.fixture
def lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A lock file, with a folder of its own for environments."""
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "environments"))
    return _write(tmp_path / "tool.lock", "tool==1.0\n")


def _write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def test_name_changes_with_the_lock(tmp_path: Path) -> None:
    name = environment_name(_write(tmp_path / "a" / "tool.lock", "tool==1.0\n"))
    assert name == "tool-f9aeee793583"
    assert environment_name(_write(tmp_path / "b" / "tool.lock", "tool==1.0\n")) == name
    assert environment_name(_write(tmp_path / "c" / "tool.lock", "tool==1.1\n")) != name
    assert environment_name(_write(tmp_path / "d" / "other.lock", "tool==1.0\n")) == name.replace("tool", "other")


def test_name_changes_with_what_is_laid_over_the_packages(tmp_path: Path) -> None:
    lock = _write(tmp_path / "a" / "tool.lock", "tool==1.0\n")
    _write(tmp_path / "a" / "tool.overlay" / "tool" / "extra.py", "")
    other = _write(tmp_path / "b" / "tool.lock", "tool==1.0\n")
    _write(tmp_path / "b" / "tool.overlay" / "tool" / "extra.py", "x = 1\n")
    assert environment_name(lock) != environment_name(other)


def test_other_sources_are_those_of_the_site_or_the_familys_index(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in (*environments.SITE_SOURCES, "PIP_FIND_LINKS"):
        monkeypatch.delenv(name, raising=False)
    lock = _write(tmp_path / "tool.lock", "tool==1.0\n")
    assert environments._sources(lock) == {}
    _write(tmp_path / "tool.index", "https://index.example/cpu\n")
    assert environments._sources(lock) == {
        "UV_EXTRA_INDEX_URL": "https://index.example/cpu",
        "UV_INDEX_STRATEGY": "unsafe-best-match",
    }
    monkeypatch.setenv("PIP_FIND_LINKS", "/wheels https://wheels.example")
    assert environments._sources(lock) == {"UV_FIND_LINKS": "/wheels,https://wheels.example"}
    monkeypatch.setenv("UV_INDEX", "https://mirror.example")
    assert environments._sources(lock) == {}


def test_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for unset in (None, ""):
        monkeypatch.delenv(CACHE_VARIABLE, raising=False)
        if unset is not None:
            monkeypatch.setenv(CACHE_VARIABLE, unset)
        assert environments_dir() == Path(".snakeval/environments")
    assert environment_python("tool-1") == tmp_path / ".snakeval/environments/tool-1/bin/python"
    monkeypatch.setenv(CACHE_VARIABLE, "/shared")
    assert environment_marker("tool-1") == Path("/shared/tool-1/snakeval.json")


def test_a_harness_has_the_lock_of_its_name() -> None:
    assert harness_lock(make_task(harness="lm-eval")) == ENVS / "lm-eval.lock"
    assert harness_lock(make_task(harness="command")) is None


def test_two_callers_build_once(lock: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    built: list[Path] = []
    both = threading.Barrier(2, timeout=10)

    @contextmanager
    def meet(path: Path) -> Iterator[None]:
        # Both have seen that there is no environment yet.
        both.wait()
        with locked(path):
            yield

    monkeypatch.setattr(environments, "locked", meet)
    monkeypatch.setattr(environments, "_build", lambda _lock, folder, _log: built.append(folder))
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(ensure_environment, [lock, lock])
    folder = environments_dir() / environment_name(lock)
    assert first == second == folder / "bin" / "python"
    assert built == [folder]
    assert read_json(folder / "snakeval.json") == {
        "family": "tool",
        "environment": environment_name(lock),
        "python": sys.version.split()[0],
    }
    # What is there is not even locked.
    assert ensure_environment(lock) == first


def test_a_failed_build_is_repeated(lock: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise DeploymentError("no space left")

    monkeypatch.setattr(environments, "_build", fail)
    for _ in range(2):
        with pytest.raises(DeploymentError, match="no space left"):
            ensure_environment(lock)
    monkeypatch.setattr(environments, "_build", lambda *_: None)
    ensure_environment(lock)
    assert environment_marker(environment_name(lock)).exists()


def test_build_begins_anew_and_checks_hashes(lock: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commands: list[list[str]] = []

    def record(command: list[str], environment: dict[str, str], family: str, log: Path | None) -> None:
        own = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
        assert environment == own | {"UV_PYTHON_DOWNLOADS": "never"}
        assert (family, log) == ("tool", None)
        commands.append(command)

    monkeypatch.setenv("VIRTUAL_ENV", "/elsewhere")
    monkeypatch.setattr(environments, "_run", record)
    monkeypatch.setattr(environments, "_find_uv", lambda: "/bin/uv")
    folder = environments_dir() / environment_name(lock)
    half = _write(folder / "bin" / "python", "half of an earlier attempt")
    ensure_environment(lock)
    assert not half.exists()
    assert [command[:2] for command in commands] == [["/bin/uv", "venv"], ["/bin/uv", "pip"]]
    assert commands[0][-3:] == ["--python", sys.executable, str(folder)]
    assert "--require-hashes" in commands[1]
    assert commands[1][-3:] == ["--python", str(half), str(lock)]


def test_failures_of_uv_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = tmp_path / "log.txt"
    failing = ["bash", "-c", "echo no such package; exit 3"]
    with pytest.raises(DeploymentError) as raised:
        environments._run(failing, {"PATH": os.environ["PATH"]}, "tool", log)
    assert str(raised.value) == "environment tool could not be built (uv ended with 3):\nno such package"
    with pytest.raises(DeploymentError) as raised:
        environments._run(["false"], {"PATH": os.environ["PATH"]}, "tool", None)
    assert str(raised.value) == "environment tool could not be built (uv ended with 1), see above"
    monkeypatch.setattr(environments, "BUILD_TIMEOUT_S", 0.05)
    with pytest.raises(DeploymentError, match=r"environment tool was not built within 0\.05 s"):
        environments._run(["sleep", "10"], {"PATH": os.environ["PATH"]}, "tool", None)


def test_uv_is_looked_for_beside_python_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "bin" / "python"))
    monkeypatch.setenv("PATH", str(tmp_path / "other"))
    with pytest.raises(DeploymentError, match="uv is needed to build environments and was not found"):
        environments._find_uv()
    for folder in ("other", "bin"):
        uv = _write(tmp_path / folder / "uv", "")
        uv.chmod(0o755)
        assert environments._find_uv() == str(uv)
