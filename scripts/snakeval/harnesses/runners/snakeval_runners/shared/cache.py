"""The answers so far, one JSON line each, so that an interrupted task sends only what is missing."""

import hashlib
import json
from pathlib import Path
from typing import Any

Entry = dict[str, Any]
ENTRY_FIELDS = frozenset({"key", "answer", "finish_reason", "prompt_tokens", "completion_tokens", "latency_s"})


def request_key(payload: dict[str, Any], occurrence: int) -> str:
    """Hash of a request and of how many identical ones came before it, so that repeats never collapse."""
    canonical = json.dumps([payload, occurrence], sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(canonical.encode("utf-8", "surrogatepass")).hexdigest()


class RequestCache:
    """An append-only JSONL file; a line that a kill cut short is ignored and does not spoil the next one."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        content = path.read_bytes() if path.exists() else b""
        self._entries: dict[str, Entry] = {}
        for line in content.splitlines():
            entry = _parse(line)
            if entry is not None:
                self._entries[entry["key"]] = entry
        self._file = path.open("ab")
        if content and not content.endswith(b"\n"):
            self._file.write(b"\n")

    def get(self, key: str) -> Entry | None:
        """The entry stored under a key, or None."""
        return self._entries.get(key)

    def put(self, key: str, entry: Entry) -> None:
        """Store an answer; it survives a kill of this process as soon as this returns."""
        line = json.dumps({"key": key, **entry}, ensure_ascii=False) + "\n"
        self._file.write(line.encode("utf-8", "surrogatepass"))
        self._file.flush()

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _parse(line: bytes) -> Entry | None:
    try:
        entry = json.loads(line)
    except ValueError:
        return None
    return entry if isinstance(entry, dict) and entry.keys() >= ENTRY_FIELDS else None
