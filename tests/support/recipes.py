"""The recipes of CONTRIBUTING.md as a reader follows them: new files, lines below a line, commands."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_SECTION = re.compile(r"^## Adding things\n(.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)
_RECIPE = re.compile(r"^### (.+?)\n(.*?)(?=^### |\Z)", re.MULTILINE | re.DOTALL)
_BLOCK = re.compile(
    r"^(`(?P<path>[^`]+)`(, below `(?P<below>[^`]+)`)?|Run:)\n\n```\w*\n(?P<text>.*?)^```$", re.M | re.S
)


@dataclass(frozen=True)
class Step:
    """A text for a file.

    Attributes:
        path: The file, from the root of the checkout.
        text: All of it, or the lines that come below another one.
        below: The line that is there already, None for a new file.
    """

    path: str
    text: str
    below: str | None

    def apply(self, root: Path) -> None:
        """Do what the step says; raises AssertionError where the checkout is not as the recipe takes it to be."""
        file = root / self.path
        if self.below is None:
            assert not file.exists(), f"{self.path} is there already"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(self.text, encoding="utf-8")
            return
        lines = file.read_text(encoding="utf-8").splitlines(keepends=True)
        found = [number for number, line in enumerate(lines) if line.strip() == self.below.strip()]
        assert len(found) == 1, f"{self.path} has the line {self.below!r} {len(found)} times"
        lines.insert(found[0] + 1, self.text)
        file.write_text("".join(lines), encoding="utf-8")


@dataclass(frozen=True)
class Recipe:
    """One of the things that can be added."""

    name: str
    steps: tuple[Step, ...]
    commands: tuple[str, ...]


def read_recipes(contributing: Path) -> Iterator[Recipe]:
    """Yield the recipes of the section "Adding things"."""
    section = _SECTION.search(contributing.read_text(encoding="utf-8"))
    assert section, f"{contributing} has no section Adding things"
    for name, body in _RECIPE.findall(section[1]):
        blocks = list(_BLOCK.finditer(body))
        assert len(blocks) == body.count("```") // 2, f"{name}: a block without a path above it"
        steps = tuple(Step(block["path"], block["text"], block["below"]) for block in blocks if block["path"])
        commands = tuple(line for block in blocks if not block["path"] for line in block["text"].splitlines())
        yield Recipe(name, steps, commands)
