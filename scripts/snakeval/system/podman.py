"""Containers of podman, found by the name that a server's id gives them. Source: podman-rm(1), podman-inspect(1)."""

import hashlib
import subprocess
import time
from collections.abc import Callable

from snakeval.system.processes import Mark

STOP_S = 10
COMMAND_TIMEOUT_S = 60
PULL_TIMEOUT_S = 3600
REPORT_S = 30.0


def container_name(mark: Mark) -> str:
    """Return the name of a server's container; no other folder's record can lead to it."""
    digest = hashlib.sha256("\0".join(mark.variables.values()).encode()).hexdigest()
    return f"snakeval-{digest[:16]}"


def remove_container(mark: Mark) -> str | None:
    """Stop a server's container and remove it; safe to call when there is none.

    Returns:
        What podman says when it fails, None otherwise.
    """
    command = ("rm", "--force", "--ignore", "--time", str(STOP_S), container_name(mark))
    done = _podman(*command)
    if done is not None and done.returncode != 0:
        # Where the monitor was killed with its container, podman waits in vain for its word, once.
        done = _podman(*command)
    return done.stderr.strip() if done is not None and done.returncode != 0 else None


def image_of(mark: Mark) -> str | None:
    """Return the id of the image that a server's container runs (`sha256:...`), None when there is no telling."""
    done = _podman("container", "inspect", "--format", "{{.Image}}", container_name(mark))
    return f"sha256:{done.stdout.strip()}" if done is not None and done.returncode == 0 else None


def is_there(image: str) -> bool:
    """Return whether this machine has an image."""
    done = _podman("image", "exists", image)
    return done is not None and done.returncode == 0


def pull_image(image: str, say: Callable[[str], None]) -> str | None:
    """Pull an image to this machine; return what podman says when it fails, None otherwise."""
    process = subprocess.Popen(
        ["podman", "pull", "--quiet", image],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    begin = time.monotonic()
    while True:
        try:
            _, output = process.communicate(timeout=REPORT_S)
            return _complaint(output) if process.returncode != 0 else None
        except subprocess.TimeoutExpired:
            waited = time.monotonic() - begin
            say(f"waiting for podman to pull {image}, {waited:.0f} s")
        if waited > PULL_TIMEOUT_S:
            process.kill()
            process.communicate()
            return f"podman did not pull it within {PULL_TIMEOUT_S} s"


def _complaint(output: str) -> str:
    """Return what podman says without the warnings before each of its attempts, which say it too."""
    lines = output.strip().splitlines()
    return "\n".join([line for line in lines if not line.startswith("time=")] or lines)


def _podman(*arguments: str) -> "subprocess.CompletedProcess[str] | None":
    try:
        return subprocess.run(
            ["podman", *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=COMMAND_TIMEOUT_S,
            check=False,
        )
    except FileNotFoundError:
        return None
    except subprocess.TimeoutExpired as error:
        return subprocess.CompletedProcess(error.cmd, 1, "", f"podman did not answer within {COMMAND_TIMEOUT_S} s")
