"""How the runtimes of containers write images and mounts, and what they cannot write."""

import re
from dataclasses import dataclass

from snakeval.config.reading.tree import Node

CONTAINER = "container"
NONE = "none"
PYXIS = "pyxis"
READ_ONLY = ":ro"
# The parts of `execution.mounts`: for servers, for tasks.
DEPLOYMENT, EVALUATION = "deployment", "evaluation"
# What a runtime's syntax for mounts cannot hold in a path: podman-run(1), the bind paths of apptainer's user guide, and
# pyxis's README together with enroot's, which writes a line of an fstab and expands variables in it.
SPECIAL = {"podman": ":", "apptainer": ':,\\"', "pyxis": ":,$\\\"'# "}


@dataclass(frozen=True)
class Mount:
    """A file or folder of the host that a container sees."""

    source: str
    target: str
    read_only: bool


def named_mounts(options: Node, part: str = DEPLOYMENT) -> tuple[Mount, ...]:
    """Return the mounts of `execution.mounts.deployment`, or of `evaluation`."""
    return tuple(
        Mount(source, target.removesuffix(READ_ONLY), target.endswith(READ_ONLY))
        for source, target in options.get("mounts", {}).get(part, {}).items()
    )


def unmountable(runtime: str, path: str) -> list[str]:
    """Return the characters of a path that the runtime's options cannot hold."""
    return sorted({one for one in path if one in SPECIAL.get(runtime, "") or ord(one) < 32 or one == "\x7f"})


def spelled_for(runtime: str, image: str) -> str:
    """Return an image reference, or the path of an image file, as the runtime takes it.

    Source: podman-run(1); `apptainer exec` (docker:// and a digest without tag); README of pyxis and `docker.sh` of
    enroot (registry before a `#`, and a digest in the place of the tag).
    """
    if image.startswith("/") or runtime == "podman":
        return image
    name, _, digest = image.partition("@")
    if digest:
        name = re.sub(r":[^/:]*$", "", name)
    if runtime == "apptainer":
        return f"docker://{name}@{digest}" if digest else f"docker://{name}"
    registry, slash, rest = name.partition("/")
    if slash and (registry == "localhost" or "." in registry or ":" in registry):
        name = f"{registry}#{rest}"
    return f"{name}:{digest}" if digest else name


def is_pinned(image: str) -> bool:
    """Return whether a reference names one version: a file, a digest, or a tag other than latest."""
    tag = image.rpartition("/")[2].partition(":")[2]
    return image.startswith("/") or "@" in image or tag not in ("", "latest")
