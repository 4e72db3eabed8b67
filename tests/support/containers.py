"""Real podman for tests, apart from all other containers of the machine, and an image to run in it.

The image holds folders alone: the machine's own /usr and Python are mounted into it, so that no registry is asked.
"""

import io
import json
import os
import shlex
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from fakes.process_namespace import own_namespace
from workspace import REPOSITORY

IMAGE = "localhost/snakeval-test:1"
PYTHON = f"{sys.base_prefix}/bin/python3"
FAKES = REPOSITORY / "tests" / "fakes"
MOUNTS = {path: f"{path}:ro" for path in dict.fromkeys(("/usr", sys.base_prefix, str(FAKES)))}
USUAL_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
FOLDERS = ("dev", "etc", "proc", "run", "sys", "tmp", "usr", "var/tmp")
HOW_TO_GET_IT = "as root on Debian `INSTALL=1 scripts/dev/install-podman.sh FOLDER` installs one that works"
INSIDE = "/opt/harness"
LINKS = ("bin", "lib", "lib64", "sbin")


@dataclass(frozen=True)
class Podman:
    """Podman with a storage of its own."""

    environ: Mapping[str, str]

    def __call__(self, *arguments: str) -> str:
        """Run a command of podman and return what it prints."""
        done = subprocess.run(
            ["podman", *arguments], capture_output=True, text=True, timeout=60, check=False, stdin=subprocess.DEVNULL
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def containers(self) -> list[dict[str, Any]]:
        """Return all containers, those that have ended too."""
        return list(json.loads(self("ps", "--all", "--format=json")))

    def build(self, image: str, files: Mapping[str, Path], bare: bool = False, path: str | None = None) -> None:
        """Import an image with some files in it, path in the image to file here; a bare one has no shell.

        `path` goes before the usual PATH of its containers.
        """
        archive = io.BytesIO()
        with tarfile.open(fileobj=archive, mode="w") as tar:
            for folder in FOLDERS:
                entry = tarfile.TarInfo(folder)
                entry.type, entry.mode = tarfile.DIRTYPE, 0o1777 if folder.endswith("tmp") else 0o755
                tar.addfile(entry)
            for link in () if bare else LINKS:
                entry = tarfile.TarInfo(link)
                entry.type, entry.linkname = tarfile.SYMTYPE, f"usr/{link}"
                tar.addfile(entry)
            for name, file in files.items():
                tar.add(file, name.lstrip("/"))
        change = [f"--change=ENV PATH={path}:{USUAL_PATH}"] if path else []
        command = ["podman", "import", *change, "-", image]
        done = subprocess.run(command, input=archive.getvalue(), capture_output=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr.decode()


def set_up(folder: Path, patch: pytest.MonkeyPatch) -> Podman:
    """Return podman with its storage in a folder, its settings in the environment of this process, and IMAGE built.

    Leaves the test out where podman is missing, or refuses this user.
    """
    if shutil.which("podman") is None:
        pytest.skip(f"podman is not installed; {HOW_TO_GET_IT}")
    done = subprocess.run(
        [str(REPOSITORY / "scripts" / "dev" / "install-podman.sh"), str(folder)],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    environ = dict(word.split("=", 1) for word in shlex.split(done.stdout)[1:])
    for name, value in environ.items():
        patch.setenv(name, value)
    podman = Podman(environ)
    try:
        podman.build(IMAGE, {})
        podman("run", "--rm", *(f"--volume={path}:{target}" for path, target in MOUNTS.items()), IMAGE, "/bin/true")
    except (AssertionError, subprocess.TimeoutExpired) as error:
        pytest.skip(f"podman does not work for this user ({str(error).strip().splitlines()[-1]}); {HOW_TO_GET_IT}")
    return podman


def in_podman(**mounts: str) -> dict[str, Any]:
    """Return an execution whose servers run in containers, with the machine's own files mounted."""
    return {"container_runtime": "podman", "readiness_timeout_s": 60, "mounts": {"deployment": {**MOUNTS, **mounts}}}


def stand_in_nim(podman: Podman, image: str, **keys: Any) -> dict[str, Any]:
    """Build an image with NIM's entry points; return a deployment of it, which `keys` complete."""
    files = FAKES / "nim_image"
    entry = {"opt/nim/start_server.sh": "start_server.sh", "opt/nvidia/nvidia_entrypoint.sh": "nvidia_entrypoint.sh"}
    podman.build(image, {path: files / name for path, name in entry.items()})
    return {
        "type": "nim",
        "name": "nim",
        "image": image,
        "served_model_name": "meta/tiny",
        "env_vars": {"STAND_IN_PYTHON": f"lit:{PYTHON}", "STAND_IN_SERVER": f"lit:{FAKES}/openai_server.py"},
        **keys,
    }


def harness_image(podman: Podman, image: str, environment: Path) -> dict[str, str]:
    """Build an image of a harness; return what has to be mounted for its tasks.

    As the other images it holds folders alone. The harness with its Python is the real environment, mounted at a path
    that is on the image's PATH and nowhere on this machine's.
    """
    podman.build(image, {}, path=f"{INSIDE}/bin")
    return {str(environment): f"{INSIDE}:ro", **MOUNTS}


def use_stand_in(runtime: str, folder: Path, patch: pytest.MonkeyPatch) -> None:
    """Put the stand-ins of container runtimes before the real ones; what they are asked for goes into the folder.

    Leaves the test out where this user may not have the process namespace that apptainer's containers have.
    """
    if runtime == "apptainer" and not own_namespace():
        pytest.skip("unshare refuses this user a process namespace; root, or who may own user namespaces, gets one")
    patch.setenv("PATH", f"{FAKES}/container_bin:{os.environ['PATH']}")
    patch.setenv("RECORD", str(folder / "record"))
    patch.setenv("STEPD", str(folder / "stepd"))
