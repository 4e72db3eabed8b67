"""Rules about containers: a runtime for those that need one, images of one version, mounts that it can carry out."""

from collections.abc import Iterator
from pathlib import Path

from snakeval.config.container_syntax import (
    CONTAINER,
    DEPLOYMENT,
    EVALUATION,
    NONE,
    is_pinned,
    named_mounts,
    unmountable,
)
from snakeval.config.draft import Draft
from snakeval.config.reading.entry import Entry
from snakeval.config.reading.wording import show
from snakeval.errors import Problem

_FILES = {"apptainer": ".sif", "pyxis": ".sqsh"}


def containers_have_an_image(draft: Draft) -> Iterator[Problem]:
    """A container needs an image. An image needs a container where the type has no image of its own."""
    for entry in draft.served:
        image = entry.data.get("image")
        if _in_container(entry) and image is None:
            hint = "runtime: container needs it"
            yield Problem(entry.at("image"), "is missing", "nothing", "an image reference", hint)
        known = entry.schema.properties.get("image")
        has_image = known is not None and known.default is not None
        if image is not None and not has_image and not _in_container(entry):
            hint = "add runtime: container, or leave image out"
            got = f"runtime {entry.data.get('runtime')}"
            yield Problem(entry.at("image"), "has no meaning without a container", got, "runtime container", hint)


def images_are_of_one_version(draft: Draft) -> Iterator[Problem]:
    """What a tag such as latest means tomorrow is other numbers under the same name."""
    for where, image in _images(draft):
        if not is_pinned(image):
            hint = "what the image is decides about the scores; name its version"
            yield Problem(where, "names no version", show(image), "a tag other than latest, or a digest", hint)


def containers_have_a_runtime(draft: Draft) -> Iterator[Problem]:
    """The backend has to have something to run containers with, where it can choose."""
    chosen = draft.execution.data.get("container_runtime")
    names = [entry.data["name"] for entry in _containers(draft)]
    if chosen == NONE and names and draft.execution_complete:
        known = draft.execution.schema.properties["container_runtime"].choices
        expected = ", ".join(one for one in known if one != NONE)
        hint = f"deployment {names[0]} has runtime: container; docs/containers.md tells which one"
        yield Problem(draft.execution.at("container_runtime"), "is needed", NONE, f"one of {expected}", hint)


def image_files_fit_the_runtime(draft: Draft) -> Iterator[Problem]:
    """Each runtime has a kind of image file of its own; podman has none that it runs."""
    runtime = draft.execution.data.get("container_runtime")
    for where, image in _images(draft):
        if (
            image.startswith("/")
            and runtime in ("podman", *_FILES)
            and not image.endswith(_FILES.get(str(runtime), "\n"))
        ):
            kind = f"a {_FILES[runtime]} file or an image reference" if runtime in _FILES else "an image reference"
            hint = "docs/containers.md tells how to make or load one"
            yield Problem(where, f"is not for {runtime}", show(image), kind, hint)


def mounts_are_absolute(draft: Draft) -> Iterator[Problem]:
    """Both sides of a mount are absolute paths, each place in the container is used once."""
    for part in (DEPLOYMENT, EVALUATION):
        yield from _mounts_are_absolute(draft, part)


def _mounts_are_absolute(draft: Draft, part: str) -> Iterator[Problem]:
    seen: dict[str, str] = {}
    for mount in named_mounts(draft.execution.data, part):
        where = draft.execution.at("mounts", part, mount.source)
        if not mount.source.startswith("/"):
            yield Problem(where, "is not an absolute path", show(mount.source), "/PATH/ON/THE/HOST", "write it in full")
        if not mount.target.startswith("/"):
            hint = "for example /data/cache: /cache, or /data/cache: /cache:ro"
            yield Problem(where, "leads to no absolute path", show(mount.target), "/PATH/IN/THE/CONTAINER", hint)
        if mount.target in seen:
            hint = f"{seen[mount.target]} is mounted there already"
            yield Problem(where, "leads to a place that is taken", show(mount.target), "another place", hint)
        seen[mount.target] = mount.source


def paths_can_be_mounted(draft: Draft) -> Iterator[Problem]:
    """Runtimes take mounts in little languages of their own, some of which have no way to quote."""
    runtime = str(draft.execution.data.get("container_runtime"))
    for part in (DEPLOYMENT, EVALUATION):
        for mount in named_mounts(draft.execution.data, part):
            for path in (mount.source, mount.target):
                yield from _unmountable(draft.execution.at("mounts", part, mount.source), runtime, path)
    for entry in _containers(draft):
        for key in ("checkpoint_path", *entry.files()):
            if entry.data.get(key):
                yield from _unmountable(entry.at(key), runtime, str(Path(entry.data[key]).absolute()))


def _unmountable(where: str, runtime: str, path: str) -> Iterator[Problem]:
    found = unmountable(runtime, path)
    if found:
        expected = f"a path without {' '.join(repr(one) for one in found)}"
        hint = "rename it, or mount a folder above it"
        yield Problem(where, f"cannot be mounted by {runtime}", show(path), expected, hint)


def _containers(draft: Draft) -> Iterator[Entry]:
    return (entry for entry in draft.served if _in_container(entry))


def _images(draft: Draft) -> Iterator[tuple[str, str]]:
    """Yield every image that the configuration names, after its place: of servers in containers, and of tasks."""
    for entry in _containers(draft):
        if entry.data["image"]:
            yield entry.at("image"), entry.data["image"]
    for entry in draft.tasks:
        if entry.data["container"]:
            yield entry.at("container"), entry.data["container"]


def datasets_are_mounted_somewhere(draft: Draft) -> Iterator[Problem]:
    """The place of a dataset in a container says nothing without the dataset."""
    for entry in draft.tasks:
        target = entry.data["dataset_mount_path"]
        if target is not None and entry.data["dataset_dir"] is None:
            hint = "add dataset_dir, the folder of this machine, or remove it"
            yield Problem(entry.at("dataset_mount_path"), "has no meaning without dataset_dir", target, "null", hint)


def _in_container(entry: Entry) -> bool:
    return bool(entry.data.get("runtime") == CONTAINER)


CONTAINER_RULES = (
    containers_have_an_image,
    images_are_of_one_version,
    containers_have_a_runtime,
    image_files_fit_the_runtime,
    mounts_are_absolute,
    paths_can_be_mounted,
    datasets_are_mounted_somewhere,
)
