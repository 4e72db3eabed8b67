"""Files that survive a kill: JSON is written whole or not at all, and of JSON lines all that are whole are read."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

from .fields import Fields


def write_json(path: Path, content: object) -> None:
    """Write a JSON file so that readers see the old one or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_text(json.dumps(content, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    temporary.replace(path)


def write_lines(path: Path, lines: Iterable[object]) -> None:
    """Write a JSONL file so that readers see the old one or the new one; what JSON cannot hold becomes text."""
    temporary = path.with_name(path.name + ".tmp")
    with temporary.open("w", encoding="utf-8", errors="replace") as file:
        for line in lines:
            file.write(json.dumps(line, ensure_ascii=False, default=str) + "\n")
    temporary.replace(path)


def read_lines(path: Path) -> Iterator[Fields]:
    """Yield the objects of a JSONL file; what is no JSON object was cut short by a kill and is passed over."""
    if not path.exists():
        return
    with path.open("rb") as lines:
        for line in lines:
            try:
                yield Fields(json.loads(_text(line)))
            except (ValueError, TypeError):
                continue


def _text(line: bytes) -> str:
    """Return a line as text: some hold half a pair of surrogates, and a kill may have cut a character in two."""
    try:
        return line.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return line.decode("utf-8", "replace")
