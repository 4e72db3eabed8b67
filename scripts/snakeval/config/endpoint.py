"""The URL of an endpoint that somebody else runs, in the forms in which users have it."""

from urllib.parse import urlsplit

from snakeval.config.reading.tree import Node
from snakeval.endpoint import Protocol

_PATHS = {
    "/chat/completions": [Protocol.CHAT],
    "/completions": [Protocol.COMPLETIONS, Protocol.LOGLIKELIHOOD],
    "/embeddings": [Protocol.EMBEDDINGS],
}


def complete_endpoint(data: Node) -> None:
    """Add `base_url`, and `protocols` where they are null, to a deployment of type none; safe to call twice.

    A full URL (`.../v1/chat/completions`) says which protocol it answers. A base URL may answer any; the first request
    of a task tells.
    """
    base, protocols = str(data["url"] or "").rstrip("/"), list(Protocol)
    for path, answered in _PATHS.items():
        if base.endswith(path):
            base, protocols = base.removesuffix(path), answered
            break
    data["base_url"] = base
    if data["protocols"] is None:
        data["protocols"] = [protocol.value for protocol in protocols]


def wrong_url(url: str) -> str | None:
    """Return what is wrong with a URL, a clause for a message, or None."""
    try:
        parts = urlsplit(url)
        host, user = parts.hostname, parts.username
        _ = parts.port
    except ValueError:
        return "is not a URL"
    if parts.scheme not in ("http", "https") or not host:
        return "is not a URL"
    if user is not None or parts.query:
        return "holds more than an address"
    return None
