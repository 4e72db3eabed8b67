"""Reads logs while they grow, across truncation, replacement and their first appearance."""

import os
from dataclasses import dataclass, field
from pathlib import Path

BLOCK_BYTES = 64 * 1024
MARK_BYTES = 64


@dataclass
class GrowingLog:
    """One log file, from a position on.

    Attributes:
        path: The file; it need not be there yet.
        position: Bytes that have been read.
    """

    path: Path
    position: int = 0
    _inode: int | None = None
    _mark: bytes = field(default=b"", repr=False)

    def last_lines(self, count: int) -> str:
        """Return the last `count` lines and go on from there; an unfinished line counts."""
        try:
            with self.path.open("rb") as stream:
                end = stream.seek(0, 2)
                text, begin = b"", end
                while begin > 0 and text.rstrip(b"\n").count(b"\n") < count:
                    begin = max(0, begin - BLOCK_BYTES)
                    stream.seek(begin)
                    text = stream.read(end - begin)
                self._remember(stream.fileno(), end, text)
        except FileNotFoundError:
            return ""
        lines = text.splitlines(keepends=True)
        return b"".join(lines[-count:] if count else []).decode("utf-8", errors="replace")

    def more(self) -> str:
        """Return what has been written since; all of it when the file was emptied or is another one now."""
        try:
            with self.path.open("rb") as stream:
                if not self._goes_on(stream.fileno(), self.path.stat().st_ino):
                    self.position, self._mark = 0, b""
                stream.seek(self.position)
                text = stream.read()
                self._remember(stream.fileno(), self.position + len(text), self._mark + text)
        except FileNotFoundError:
            return ""
        return text.decode("utf-8", errors="replace")

    def _goes_on(self, descriptor: int, inode: int) -> bool:
        """Whether what was read still stands at the same place: a log that was emptied may have grown longer since."""
        if inode != self._inode or os.fstat(descriptor).st_size < self.position:
            return False
        begin = self.position - len(self._mark)
        return os.pread(descriptor, len(self._mark), begin) == self._mark

    def _remember(self, descriptor: int, position: int, read: bytes) -> None:
        self._inode, self.position, self._mark = os.fstat(descriptor).st_ino, position, read[-MARK_BYTES:]
