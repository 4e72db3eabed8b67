"""One virtual environment per tool family, built on demand from its hash-pinned lock and shared by all runs."""

import hashlib
import os
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

from snakeval.errors import DeploymentError
from snakeval.system.files import last_lines, locked, write_json

BUILD_TIMEOUT_S = 3600
CACHE_VARIABLE = "SNAKEVAL_ENVIRONMENTS"
SITE_SOURCES = ("UV_FIND_LINKS", "UV_INDEX", "UV_EXTRA_INDEX_URL")


def environments_dir() -> Path:
    """Return where environments live: $SNAKEVAL_ENVIRONMENTS, else .snakeval/environments of the working directory."""
    return Path(os.environ.get(CACHE_VARIABLE) or ".snakeval/environments")


@cache
def environment_name(lock: Path) -> str:
    """Return "<family>-<first 12 hex digits of a SHA-256>": another lock, or overlay, is another environment."""
    digest = hashlib.sha256(lock.read_bytes())
    for file in sorted(path for path in _overlay(lock).rglob("*") if path.is_file()):
        digest.update(file.read_bytes())
    return f"{lock.stem}-{digest.hexdigest()[:12]}"


def environment_marker(name: str) -> Path:
    """Return the file that says the environment is complete: the output of rule environment."""
    return environments_dir() / name / "snakeval.json"


def environment_python(name: str) -> Path:
    """Return the environment's interpreter, as an absolute path."""
    return (environments_dir() / name / "bin" / "python").absolute()


def ensure_environment(lock: Path, log: Path | None = None) -> Path:
    """Build the environment of `lock` unless it is there; safe to call from several processes at once.

    Args:
        lock: `envs/<family>.lock`, every package with version and hashes.
        log: File for uv's output; without it the output goes to standard error.

    Returns:
        The interpreter of the environment.

    Raises:
        DeploymentError: uv is missing or failed; the message holds its last lines.
    """
    name = environment_name(lock)
    marker = environment_marker(name)
    if not marker.exists():
        with locked(environments_dir() / f".{name}.lock"):
            if not marker.exists():
                _build(lock, marker.parent, log)
                write_json(marker, {"family": lock.stem, "environment": name, "python": sys.version.split()[0]})
    return environment_python(name)


def _build(lock: Path, folder: Path, log: Path | None) -> None:
    uv = _find_uv()
    shutil.rmtree(folder, ignore_errors=True)
    environment = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
    environment |= {"UV_PYTHON_DOWNLOADS": "never", **_sources(lock)}
    commands = [
        # Programs of an environment find their Python beside them, wherever the folder is moved or mounted.
        [uv, "venv", "--quiet", "--relocatable", "--no-project", "--python", sys.executable, str(folder)],
        [
            uv,
            "pip",
            "sync",
            "--compile-bytecode",
            "--require-hashes",
            "--python",
            str(folder / "bin" / "python"),
            str(lock),
        ],
    ]
    for command in commands:
        _run(command, environment, lock.stem, log)
    if _overlay(lock).is_dir():
        shutil.copytree(_overlay(lock), next(folder.glob("lib/python*/site-packages")), dirs_exist_ok=True)


def _overlay(lock: Path) -> Path:
    """Return the folder of files that are laid over the packages of an environment; most have none."""
    return lock.with_suffix(".overlay")


def _sources(lock: Path) -> dict[str, str]:
    """Return where uv looks for packages that PyPI does not have, as its variables.

    `<family>.index` names the index. What a site has set for uv, or pip's links to its own files, goes before it.
    """
    index = lock.with_suffix(".index")
    if not index.exists() or any(os.environ.get(name) for name in SITE_SOURCES):
        return {}
    if links := os.environ.get("PIP_FIND_LINKS"):
        return {"UV_FIND_LINKS": ",".join(links.split())}
    # The index also has other versions of what PyPI has. Every package is pinned by its hash, wherever it comes from.
    return {"UV_EXTRA_INDEX_URL": index.read_text(encoding="utf-8").strip(), "UV_INDEX_STRATEGY": "unsafe-best-match"}


def _run(command: list[str], environment: dict[str, str], family: str, log: Path | None) -> None:
    stream = log.open("a", encoding="utf-8") if log else None
    try:
        done = subprocess.run(
            command, env=environment, stdout=stream, stderr=stream, timeout=BUILD_TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired:
        raise DeploymentError(f"environment {family} was not built within {BUILD_TIMEOUT_S} s") from None
    finally:
        if stream:
            stream.close()
    if done.returncode != 0:
        tail = f":\n{last_lines(log)}" if log else ", see above"
        raise DeploymentError(f"environment {family} could not be built (uv ended with {done.returncode}){tail}")


def _find_uv() -> str:
    beside = Path(sys.executable).with_name("uv")
    found = str(beside) if beside.exists() else shutil.which("uv")
    if found is None:
        raise DeploymentError(
            "uv is needed to build environments and was not found beside the Python that runs Snakemake, nor on PATH; "
            "it is part of envs/snakeval.lock"
        )
    return found
