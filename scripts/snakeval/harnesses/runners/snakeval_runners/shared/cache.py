"""Identities of requests."""

import hashlib
import json


def digest(content: object) -> str:
    """Hash of a JSON value, whatever the order of its keys."""
    canonical = json.dumps(content, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(canonical.encode("utf-8", "surrogatepass")).hexdigest()
