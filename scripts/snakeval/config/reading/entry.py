"""One checked object of the configuration."""

from dataclasses import dataclass, field
from pathlib import Path

from snakeval.config.reading.schema import Schema
from snakeval.config.reading.tree import Keys, Node, Tree
from snakeval.config.reading.validate import Where


@dataclass(frozen=True)
class Entry:
    """One object of the configuration that its schema accepts.

    Attributes:
        data: Its keys, defaults filled in.
        schema: Its schema.
        locate: Words the place of a key, for messages.
        given_keys: Keys of a task that it or `evaluation` has a value for, defaults apart.
        own_keys: Those of them that the task itself has.
        shared_extra: `evaluation.extra`, of which a task uses what it knows.
    """

    data: Node
    schema: Schema
    locate: Where
    given_keys: frozenset[str] = frozenset()
    own_keys: frozenset[str] = frozenset()
    shared_extra: Node = field(default_factory=lambda: Node({}))

    def at(self, *keys: str | int) -> str:
        """Return "file: dotted.path" of a key in here."""
        return self.locate(keys)

    def files(self) -> dict[str, Path]:
        """Return the keys that name a file whose content counts, and the files."""
        parts = self.schema.properties
        return {name: Path(self.data[name]) for name, part in parts.items() if part.is_file and self.data[name]}


def under(tree: Tree, base: Keys) -> Where:
    """Return what words the place of a key below `base`."""
    return lambda keys: tree.where((*base, *keys))
