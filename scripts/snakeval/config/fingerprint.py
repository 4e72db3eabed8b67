"""Fingerprints: hashes of everything that can change a score, and of nothing else."""

import hashlib
import json
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from snakeval.config.reading.tree import Node
from snakeval.config.secrets import without_secrets
from snakeval.system.hashing import sha256_hex

LENGTH = 16
_SAMPLED_ABOVE_BYTES = 64 * 2**20
_SAMPLE_BYTES = 2**20
_WORD = re.compile(r"[^\s\"'\[\]{}(),:#=]+")
_IMPORT = re.compile(r"^\s*(?:from|import)\s+\.?(\w+)", re.MULTILINE)
_TEXT = re.compile(r"""["']([^"'\n]{1,200})["']""")
_FUNCTION = re.compile(r"!function\s+(\w+)")
_PIN = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*)(?:\[[^]]*\])?\s*(?:==\s*([^\s\\;]+))?")


def fingerprint(content: Mapping[str, object]) -> str:
    """Return the first 16 hex digits of the SHA-256 of canonical JSON.

    Keys whose value is null or an empty mapping are left out. So a key that a later version adds changes no fingerprint
    until somebody sets it.
    """
    said = {key: value for key, value in content.items() if value is not None and value != {}}
    text = json.dumps(said, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return sha256_hex(text, LENGTH)


def components(content: Node) -> Node:
    """Return what `fingerprint` hashes as dotted name -> value, ready to be published.

    A literal under a secret-looking name is masked. Of a command only the digest is there. So two contents can have
    equal components and different fingerprints.
    """
    shown = Node({})
    for key, value in content.items():
        if value is None or value == {}:
            continue
        if key == "env_vars":
            value = without_secrets(value)
        if key in ("command", "pre_cmd", "post_cmd"):
            text = json.dumps(value, ensure_ascii=False)
            value = f"sha256:{sha256_hex(text, LENGTH)}"
        parts = {f"{key}.{name}": part for name, part in value.items()} if isinstance(value, Mapping) else {key: value}
        shown.update(parts)
    return shown


def pinned_versions(lock: Path) -> dict[str, str]:
    """Return name -> version of the packages that `<family>.in` beside the lock names.

    What those packages depend on in turn is in the lock too, but does not count: it is there to install, not to score.
    """
    pinned = dict(_pins(lock))
    wanted = [_normal(name) for name, _ in _pins(lock.with_suffix(".in"))]
    return {name: pinned[name] for name in wanted if name in pinned}


def _pins(file: Path) -> Iterator[tuple[str, str]]:
    for line in file.read_text(encoding="utf-8").splitlines():
        found = _PIN.match(line)
        if found:
            yield _normal(found[1]), found[2] or ""


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def definition_digests(definition: Path) -> dict[str, str]:
    """Return file -> SHA-256 of a task's YAML, of the files that it names, and of those that these name.

    Only YAML and Python files are searched for names.
    Files are named relative to the folder of the definition, so that a checkout can move.
    """
    folder = definition.parent
    found: dict[Path, str] = {}
    open_files = [definition.resolve()]
    while open_files:
        file = open_files.pop()
        if file in found:
            continue
        found[file] = _digest(file)
        if file.suffix in (".yaml", ".yml", ".py"):
            open_files += _named(file)
    return {_relative(file, folder.resolve()): digest for file, digest in sorted(found.items())}


def command_digests(command: str | Sequence[str] | None) -> dict[str, str]:
    """Return file -> SHA-256 of the files that a command names by a path relative to the working directory."""
    if command is None:
        return {}
    try:
        words = shlex.split(command) if isinstance(command, str) else list(command)
    except ValueError:
        words = str(command).split()
    named = (word for word in words if not word.startswith("/"))
    return {word: _digest(Path(word)) for word in named if _is_file(Path(word))}


def file_digests(files: Mapping[str, Path]) -> dict[str, str]:
    """Return key -> SHA-256 of the file that it names, for those that exist."""
    return {key: _digest(file) for key, file in files.items() if _is_file(file)}


def _named(file: Path) -> Iterator[Path]:
    """Yield the files beside `file`, or below its folder, that its text names."""
    text = file.read_text(encoding="utf-8", errors="replace")
    if file.suffix == ".py":
        names = [*(f"{module}.py" for module in _IMPORT.findall(text)), *_TEXT.findall(text)]
    else:
        words = set(_WORD.findall(text))
        names = [*words, *(f"{word}.yaml" for word in words), *(f"{module}.py" for module in _FUNCTION.findall(text))]
    for name in names:
        path = file.parent / name
        if _is_file(path):
            yield path.resolve()


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def _relative(file: Path, folder: Path) -> str:
    return file.relative_to(folder).as_posix() if file.is_relative_to(folder) else file.name


def _digest(file: Path) -> str:
    """Return the SHA-256 of a file; of a huge one, of its size, its beginning and its end, to keep loading fast."""
    size = file.stat().st_size
    with file.open("rb") as stream:
        if size <= _SAMPLED_ABOVE_BYTES:
            return hashlib.file_digest(stream, "sha256").hexdigest()
        digest = hashlib.sha256(str(size).encode() + stream.read(_SAMPLE_BYTES))
        stream.seek(-_SAMPLE_BYTES, 2)
        digest.update(stream.read())
    return digest.hexdigest()
