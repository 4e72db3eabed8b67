"""Files that survive being killed at any moment: atomic writes, secret files, locks between processes."""

import fcntl
import json
import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO


def write_text(path: Path, text: str, mode: int = 0o644) -> None:
    """Write `text` to a temporary name in the same folder, then rename; readers see the old or the new content.

    Args:
        path: Its folder is made when it is missing.
        text: Whole content.
        mode: Permissions; the file never exists with wider ones.
    """
    with replacing(path, mode) as stream:
        stream.write(text.encode())


@contextmanager
def replacing(path: Path, mode: int = 0o644) -> Iterator[BinaryIO]:
    """Open a new file that takes the place of `path` when the block has ended without an error; see `write_text`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as stream:
            yield stream
        Path(name).chmod(mode)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def write_json(path: Path, value: Any, mode: int = 0o644) -> None:
    """Write `value` as indented JSON, atomically."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n", mode)


def read_json(path: Path) -> Any | None:
    """Return the parsed file, or None when it is absent or not (yet) valid JSON."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):
        return None


def read_rows(path: Path) -> list[list[str]] | None:
    """Return the rows of a file of columns between tabs, comments (#) left out; None when it is absent."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return None
    return [line.split("\t") for line in lines if line and not line.startswith("#")]


def is_newer(path: Path, sources: Iterable[Path]) -> bool:
    """Return whether the file and all sources are there, and no source has changed after it."""
    try:
        made = path.stat().st_mtime
        return all(source.stat().st_mtime <= made for source in sources)
    except FileNotFoundError:
        return False


def last_lines(path: Path, count: int = 15, since: int = 0) -> str:
    """Return the last `count` lines of a log, from byte `since` on; "(no output)" when there are none."""
    try:
        with path.open("rb") as stream:
            stream.seek(0, os.SEEK_END)
            stream.seek(max(since, stream.tell() - 64_000))
            text = stream.read().decode("utf-8", errors="replace")
    except FileNotFoundError:
        return "(no output)"
    return "\n".join(text.splitlines()[-count:]) or "(no output)"


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold an exclusive lock on `path` until the block ends; the kernel frees it when the process dies."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


class HeldLock:
    """An exclusive lock that is tried once and, when taken, kept until `release` or the end of the process."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None

    def acquire(self) -> bool:
        """Return whether the lock was free and is ours now; False when we hold it already."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return False
        self._descriptor = descriptor
        return True

    def release(self) -> None:
        """Give the lock back; safe to call twice."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
