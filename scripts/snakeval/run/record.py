"""The files by which the processes of a run talk: each is one JSON object, written whole and read by its type.

Beside its own fields a file holds `schema_version` and `snakeval_version`: the version of the file's form, and the
version of the program that wrote it. A file without them is of version 0.1. A reader leaves out a field that it does
not know, so it reads a file of a later form as far as it understands it.
"""

import sys
from collections.abc import Callable
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Annotated, ClassVar, Self

import msgspec

from snakeval import __version__
from snakeval.system.files import write_text

# A signal to process 0 or below goes to many.
Pid = Annotated[int, msgspec.Meta(ge=1, lt=2**31)]
# Which start of a server it is: `secrets.token_hex(8)`.
ServerId = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{16}\Z")]
# Seconds since the epoch; what lies beyond the year 9999 has no date.
Moment = Annotated[float, msgspec.Meta(ge=0, lt=253402300800)]


@dataclass(frozen=True)
class Damage:
    """What keeps a file from being read.

    Attributes:
        path: The file.
        why: What is wrong with it, in words.
    """

    path: Path
    why: str

    def __str__(self) -> str:
        return f"{self.path} cannot be used and counts as missing: {self.why}"


Tell = Callable[[Damage], None]


class _Told:
    """Says on standard error what is wrong with a file, once for each: watchers look at files again and again."""

    def __init__(self) -> None:
        self._said: set[str] = set()

    def __call__(self, damage: Damage) -> None:
        text = f"notice: {damage}"
        if text not in self._said:
            self._said.add(text)
            print(text, file=sys.stderr, flush=True)


say_once: Tell = _Told()


@dataclass(frozen=True)
class _Origin:
    """Which version of the program wrote a file, and in which form."""

    schema_version: int = 0
    snakeval_version: str = "0.1"


@dataclass(frozen=True)
class Record:
    """Base of all records: frozen dataclasses that are the content of one file each.

    A field with a default may be missing in the file. One with a factory tells of the process that wrote the file: it
    must be there.

    Attributes:
        SCHEMA: Version of the form; counts up when a field changes its meaning or goes.
        MODE: Permissions of the file.
        SPARSE: Whether fields that have their default are left out of the file.
    """

    SCHEMA: ClassVar[int] = 1
    MODE: ClassVar[int] = 0o644
    SPARSE: ClassVar[bool] = False

    @classmethod
    def read(cls, path: Path, tell: Tell = say_once) -> Self | None:
        """Return the record in a file; None when there is no file, and when it is damaged, which is told.

        Args:
            path: The file.
            tell: Where damage goes.
        """
        try:
            return cls._decoded(path.read_bytes())
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            tell(Damage(path, error.strerror or type(error).__name__))
        except (ValueError, RecursionError) as error:
            tell(Damage(path, str(error)))
        return None

    def write(self, path: Path) -> None:
        """Write the record to a file, atomically: readers see the old or the new one."""
        content = {"schema_version": self.SCHEMA, "snakeval_version": __version__}
        text = msgspec.json.format(msgspec.json.encode(content | self._content()), indent=2).decode()
        write_text(path, f"{text}\n", self.MODE)

    def _content(self) -> dict[str, object]:
        content: dict[str, object] = msgspec.to_builtins(self)
        defaults = {one.name: one.default for one in fields(self)} if self.SPARSE else {}
        return {name: value for name, value in content.items() if name not in defaults or value != defaults[name]}

    @classmethod
    def _decoded(cls, text: bytes) -> Self:
        """Return the record in a file's text; raises ValueError, or RecursionError for lists in lists without end."""
        content = msgspec.json.decode(text, type=dict[str, object])
        origin = msgspec.convert(content, _Origin)
        try:
            for one in fields(cls):
                if one.default_factory is not MISSING and one.name not in content:
                    raise msgspec.ValidationError(f"Object missing required field `{one.name}`")
            return msgspec.convert(content, cls)
        except msgspec.ValidationError as error:
            if origin.schema_version <= cls.SCHEMA:
                raise
            raise ValueError(
                f"Snakeval {origin.snakeval_version} wrote it in form {origin.schema_version}, and this is Snakeval "
                f"{__version__}, which knows forms up to {cls.SCHEMA}: {error}"
            ) from None
