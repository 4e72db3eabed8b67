"""SHA-256 as text."""

import hashlib


def sha256_hex(content: str | bytes, digits: int | None = None) -> str:
    """Return the SHA-256 of the content in hexadecimal, all 64 digits or the first ones."""
    data = content.encode() if isinstance(content, str) else content
    return hashlib.sha256(data).hexdigest()[:digits]
