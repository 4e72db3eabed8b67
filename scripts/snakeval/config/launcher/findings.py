"""What is found while the launcher's keys are put into our own."""

from collections.abc import Iterator

from snakeval.config.reading.tree import Keys, Tree
from snakeval.config.reading.wording import show
from snakeval.errors import Problem


class Findings:
    """Collects what was left out, what was read in another way, and what cannot be honoured.

    Attributes:
        problems: What cannot be honoured.
    """

    def __init__(self, tree: Tree) -> None:
        self.problems: list[Problem] = []
        self._tree = tree
        self._left_out: dict[str, list[str]] = {}
        self._read: list[str] = []

    def no_meaning(self, keys: Keys, reason: str) -> None:
        """Take a key out of the tree, for a reason that users read in the notice."""
        self._left_out.setdefault(reason, []).append(self._tree.dotted(keys))
        self._tree.remove(keys)

    def read_as(self, keys: Keys, how: str) -> None:
        """Note how a key was read, e.g. "is taken as hf_model_handle"."""
        self._read.append(f"{self._tree.dotted(keys)} {how}")

    def refused(self, keys: Keys, what: str, expected: str, hint: str, shown: str = "") -> None:
        """Note what cannot be honoured and take it out; `shown` stands for a value that may be a secret."""
        got = shown or show(self._tree.get(keys), str(keys[-1]))
        self.problems.append(Problem(self._tree.where(keys), what, got, expected, hint))
        self._tree.remove(keys)

    def notices(self) -> Iterator[str]:
        """Yield one line for each reason why keys were left out, and one for each key that was read in another way."""
        for reason, keys in self._left_out.items():
            yield f"{', '.join(dict.fromkeys(keys))}: left out, {reason}"
        yield from dict.fromkeys(self._read)
