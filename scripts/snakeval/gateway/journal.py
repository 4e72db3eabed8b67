"""What a task's gateway sent and got: one line a request, kept across attempts and changes of settings.

A line is `{"digest":"...","entry":{...}}`. Lines are only ever added. When a process is killed, the line that it was
writing ends in the middle. The reader drops such a torn last line. It asks a damaged line again. It tells both once.
Network file systems break databases, but they can append lines. Of every answer the gateway keeps the place in memory,
not the text.
"""

import hashlib
import os
import shutil
import zlib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from gzip import GzipFile
from pathlib import Path
from typing import IO

from msgspec import Struct

from snakeval.gateway.entries import Answer, Entry, Failed, Given, Header, entry_of, line_of


class Damage(Struct, frozen=True):
    """What was found wrong when a journal was opened.

    Attributes:
        torn: Whether the last line had no end.
        damaged: Lines that do not fit their digest.
    """

    torn: bool
    damaged: int

    def __str__(self) -> str:
        parts = ["its last line is torn"] if self.torn else []
        parts += [f"{self.damaged} of its lines are damaged"] if self.damaged else []
        return " and ".join(parts)


class Journal:
    """The journal of one task, open for one gateway.

    Args:
        path: `journal.jsonl`; `journal.jsonl.gz` beside it is the same of an ended task.
        header: What the answers have to be good for; a journal of another deployment is begun anew.
        life: Which life of the harness this is.
        earlier: Lives of the same evaluation that were interrupted.

    Attributes:
        given: Keys of the answers that this life has been given.
        handed: Those, and the ones that earlier lives of the evaluation were given.
        failed: Requests of this life that got no answer for good.
    """

    def __init__(self, path: Path, header: Header, life: str, earlier: Sequence[str] = ()) -> None:
        self._path = path
        self._packed = packed(path)
        self._life = life
        self._places: dict[bytes, tuple[int, int]] = {}
        self._lives = frozenset((life, *earlier))
        self.given: dict[bytes, None] = {}
        self.handed: dict[bytes, None] = {}
        self.failed: dict[bytes, Failed] = {}
        self.damage = Damage(torn=False, damaged=0)
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists() and self._packed.exists():
            self._unpack()
        if not self._load(header):
            path.unlink(missing_ok=True)
            self._packed.unlink(missing_ok=True)
            self._places.clear()
            self.given.clear()
            self.handed.clear()
            self.failed.clear()
        self._stream: IO[bytes] = path.open("ab+", buffering=0)
        if self._stream.tell() == 0:
            self._append(header)

    def __len__(self) -> int:
        return len(self._places)

    def find(self, key: str) -> Answer | None:
        """Return a remembered answer."""
        place = self._places.get(bytes.fromhex(key))
        if place is None:
            return None
        line = os.pread(self._stream.fileno(), place[1], place[0])
        entry = entry_of(line)
        return entry if isinstance(entry, Answer) else None

    def remember(self, answer: Answer) -> None:
        """Keep an answer.

        Raises:
            OSError: It could not be written; nothing is remembered.
        """
        key = bytes.fromhex(answer.key)
        self._places[key] = self._append(answer)
        self.failed.pop(key, None)

    def give_up(self, key: str, kind: str, detail: str) -> None:
        """Note that a request got no answer for good; a full disk loses the line and nothing else."""
        failed = Failed(key, self._life, kind, detail)
        self.failed[bytes.fromhex(key)] = failed
        with suppress(OSError):
            self._append(failed)

    def hand_out(self, key: str, again: bool) -> None:
        """Note that the present life of the harness has got an answer.

        Args:
            key: Of the request.
            again: Whether it was remembered: of one that is new, its own line tells who got it.
        """
        if again:
            self._append(Given(key, self._life))
        self.given[bytes.fromhex(key)] = None
        self.handed[bytes.fromhex(key)] = None

    def answers(self) -> Iterator[Answer]:
        """Yield every answer, in the order in which they came."""
        for start, length in list(self._places.values()):
            entry = entry_of(os.pread(self._stream.fileno(), length, start))
            if isinstance(entry, Answer):
                yield entry

    def close(self) -> None:
        """Close the file; it stays as it is."""
        self._stream.close()

    def _unpack(self) -> None:
        part = self._path.with_name(f".{self._path.name}.part")
        try:
            with GzipFile(self._packed, "rb") as source, part.open("wb") as target:
                shutil.copyfileobj(source, target, 1 << 20)
        except (OSError, EOFError, zlib.error):
            # What could be read stays; the rest is asked again.
            self.damage = Damage(torn=True, damaged=0)
        part.replace(self._path)

    def _load(self, header: Header) -> bool:
        """Read the places of all answers; return whether they are good for this deployment and these adapters."""
        if not self._path.exists():
            return True
        start, whole, damaged, fits = 0, 0, 0, False
        with self._path.open("rb") as stream:
            for line in stream:
                if not line.endswith(b"\n"):
                    break
                entry = entry_of(line)
                if isinstance(entry, Header):
                    if (entry.deployment, entry.adapters) != (header.deployment, header.adapters):
                        return False
                    fits = True
                elif isinstance(entry, Answer):
                    self._places[bytes.fromhex(entry.key)] = (start, len(line))
                    self.failed.pop(bytes.fromhex(entry.key), None)
                if isinstance(entry, Answer | Given) and entry.life in self._lives:
                    self.handed[bytes.fromhex(entry.key)] = None
                if isinstance(entry, Answer | Given) and entry.life == self._life:
                    self.given[bytes.fromhex(entry.key)] = None
                elif isinstance(entry, Failed) and entry.life == self._life:
                    self.failed[bytes.fromhex(entry.key)] = entry
                damaged += entry is None
                start += len(line)
                whole = start
        torn = whole < self._path.stat().st_size
        self.damage = Damage(torn or self.damage.torn, damaged)
        if torn:
            with self._path.open("rb+") as stream:
                stream.truncate(whole)
        return fits

    def _append(self, entry: Entry) -> tuple[int, int]:
        line = line_of(entry)
        start = self._stream.seek(0, os.SEEK_END)
        try:
            written = self._stream.write(line)
            while written < len(line):
                written += self._stream.write(line[written:])
        except OSError:
            # Half a line would damage the next one.
            self._stream.truncate(start)
            raise
        return start, len(line)


def read_entries(journal: Path) -> Iterator[Answer | Failed]:
    """Yield what a journal holds, packed or not, also while a gateway writes it; what is damaged is left out."""
    path = journal if journal.exists() else packed(journal)
    with GzipFile(path, "rb") if path.suffix == ".gz" else path.open("rb") as stream:
        for line in stream:
            entry = entry_of(line)
            if isinstance(entry, Answer | Failed):
                yield entry


def pack(journal: Path) -> str:
    """Compress the journal of an ended task; return the SHA-256 of what was compressed.

    Safe against being killed at any moment.
    """
    part = journal.with_name(f".{journal.name}.gz.part")
    digest = hashlib.sha256()
    # Without name and time, equal journals are equal files.
    with (
        journal.open("rb") as source,
        part.open("wb") as raw,
        GzipFile(filename="", mode="wb", fileobj=raw, mtime=0) as target,
    ):
        while block := source.read(1 << 20):
            digest.update(block)
            target.write(block)
    part.replace(packed(journal))
    journal.unlink()
    return digest.hexdigest()


def packed(journal: Path) -> Path:
    """Return where the compressed journal of an ended task is."""
    return journal.with_name(f"{journal.name}.gz")
