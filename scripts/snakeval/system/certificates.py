"""Which certificates are trusted: what the variables of the ecosystem name, or else the usual ones."""

import os
import ssl
from pathlib import Path

import certifi

CA_VARIABLES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_DIR")


def trusting_context() -> ssl.SSLContext:
    """Return what certificates are checked with; any one of the variables is enough."""
    context = ssl.create_default_context()
    named = [Path(value) for name in CA_VARIABLES if (value := os.environ.get(name))]
    for path in named:
        if path.is_dir():
            context.load_verify_locations(capath=str(path))
        elif path.exists():
            context.load_verify_locations(cafile=str(path))
    if not named:
        context.load_verify_locations(cafile=certifi.where())
    return context


def untrusted(why: str) -> str:
    """Return what to say of a certificate that is not trusted."""
    return (
        f"its certificate is not trusted ({why}); SSL_CERT_FILE or REQUESTS_CA_BUNDLE names the certificates to trust"
    )
