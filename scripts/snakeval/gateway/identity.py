"""Tells requests apart: by what the harness sent, and by how many equal ones came before."""

import hashlib
from typing import Any

import msgspec

from snakeval.gateway.journal import Journal

_PLAIN = msgspec.json.Encoder(order="sorted")


def content_hash(path: str, body: bytes) -> bytes:
    """Return the hash of a request: equal for bodies that are equal as JSON, whatever their order and spaces."""
    try:
        canonical = _PLAIN.encode(msgspec.json.decode(body))
    except (msgspec.DecodeError, UnicodeDecodeError):
        canonical = body
    return hashlib.blake2b(canonical, digest_size=16, key=path.encode()[:64]).digest()


class Occurrences:
    """Counts equal requests of one life of a harness, so that repeats get answers of their own.

    A request that has no answer gives its place back: when the harness's client asks again, it is the same one.
    """

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._busy: set[bytes] = set()
        self._next: dict[bytes, int] = {}

    def begin(self, content: bytes) -> tuple[str, int]:
        """Return the key of a request and how many equal ones came before it."""
        # Places below `_next` are all taken for good; equal requests are few, and most are the first.
        number = self._next.get(content, 0)
        while (key := _key(content, number)) in self._busy or key in self._journal.given:
            if key in self._journal.given and number == self._next.get(content, 0):
                self._next[content] = number + 1
            number += 1
        self._busy.add(key)
        return key.hex(), number

    def end(self, key: str) -> None:
        """Say that a request is over: with an answer, which the journal knows, or without."""
        self._busy.discard(bytes.fromhex(key))


def _key(content: bytes, number: int) -> bytes:
    return hashlib.blake2b(content + number.to_bytes(8, "big"), digest_size=16).digest()


def varied_seed(body: dict[str, Any], occurrence: int) -> dict[str, Any]:
    """Return a body whose seed tells equal requests apart, for harnesses that repeat a request with one seed.

    A greedy answer needs none: a sample that is drawn would be drawn again with the same seed.
    """
    if occurrence == 0 or not isinstance(body.get("seed"), int) or body.get("temperature") == 0:
        return body
    return body | {"seed": body["seed"] + occurrence}
