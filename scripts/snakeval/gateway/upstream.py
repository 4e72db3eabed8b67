"""Sends requests to the endpoint: proxies and certificates as the ecosystem's variables say, and nothing of netrc."""

import asyncio
import ssl
import time
import weakref
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Self
from urllib.parse import urljoin, urlsplit

import aiohttp
from aiohttp.connector import Connection
from aiohttp.tracing import Trace
from requests.utils import get_environ_proxies, select_proxy
from yarl import URL

from snakeval.gateway.kinds import Kind, Verdict
from snakeval.gateway.stream import BrokenStreamError, Gathering
from snakeval.system.certificates import trusting_context, untrusted

CONNECT_TIMEOUT_S = 30.0
LONGEST_REPLY = 256 << 20
REDIRECTS = frozenset({301, 302, 303, 307, 308})
MOST_REDIRECTS = 3
_BLOCK = 1 << 16

# Says why the process at the other end of a connection is not the one that was started, None when it is.
Proof = Callable[[asyncio.BaseTransport], Awaitable[str | None]]


@dataclass(frozen=True)
class Received:
    """What came back.

    Attributes:
        status: HTTP status; 0 where there was none.
        body: Whole body; of a stream, the answer that it adds up to.
        content_type: As the endpoint says it.
        retry_after: The header of that name.
        latency_s: From sending to the last byte.
        failure: What kept an answer from coming; None when there is one, whatever its status.
    """

    status: int
    body: bytes
    content_type: str
    retry_after: str | None
    latency_s: float
    failure: Verdict | None = None


class StrangerError(aiohttp.ClientError):
    """Somebody else than the server is at the other end of a connection."""


class _ProvenConnector(aiohttp.TCPConnector):
    """Hands out no connection before it is known who is at its other end: a stranger gets neither key nor request.

    Each connection is asked for once. Nobody can take over one that is established.
    """

    def __init__(self, proof: Proof, ssl: ssl.SSLContext | bool) -> None:
        super().__init__(limit=0, ssl=ssl)
        self._proof = proof
        self._proven: weakref.WeakSet[asyncio.BaseTransport] = weakref.WeakSet()

    async def connect(
        self, req: aiohttp.ClientRequest, traces: list[Trace], timeout: aiohttp.ClientTimeout
    ) -> Connection:
        connection = await super().connect(req, traces, timeout)
        try:
            transport = connection.transport
            if transport is not None and transport not in self._proven:
                if (why := await self._proof(transport)) is not None:
                    raise StrangerError(why)
                self._proven.add(transport)
        except BaseException:
            connection.close()
            raise
        return connection


async def unproven(_transport: asyncio.BaseTransport) -> None:
    """Ask for no proof: of an endpoint that is not ours, certificate and key are all there is."""


class Upstream:
    """The endpoint.

    Args:
        base_url: Up to and with /v1.
        headers: Sent with every request, the endpoint's key among them.
        query: Parameters of every URL.
        own_server: Whether no proxy leads there.
        timeout_s: How long an answer may take.
        proof: Asked for each connection before anything is sent.
    """

    def __init__(
        self,
        base_url: str,
        headers: dict[str, str],
        query: dict[str, str],
        own_server: bool,
        timeout_s: float,
        proof: Proof = unproven,
    ) -> None:
        self.aim(base_url, headers)
        self._query = query
        self._timeout_s = timeout_s
        self._proof = proof
        proxies = {} if own_server else get_environ_proxies(self._base_url)
        self._proxy = select_proxy(self._base_url, proxies)

    def aim(self, base_url: str, headers: dict[str, str]) -> None:
        """Send what comes next to another place, with other headers."""
        self._base_url = base_url.rstrip("/")
        self._headers = headers

    async def __aenter__(self) -> Self:
        connector = _ProvenConnector(self._proof, trusting_context() if self._base_url.startswith("https") else True)
        timeout = aiohttp.ClientTimeout(total=self._timeout_s, sock_connect=CONNECT_TIMEOUT_S)
        self._session = aiohttp.ClientSession(
            connector=connector, timeout=timeout, cookie_jar=aiohttp.DummyCookieJar(), trust_env=False
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def send(
        self, method: str, path: str, body: bytes | None, headers: dict[str, str], beside: bool = False
    ) -> Received:
        """Send one request; never raises for what an endpoint or a network does.

        Args:
            method: Of HTTP.
            path: Below the base URL, query included; with `beside`, below what the base URL is without /v1.
            body: None for none.
            headers: Sent beside the endpoint's own.
            beside: See path.
        """
        began = time.monotonic()
        url = (self._base_url.removesuffix("/v1") if beside else self._base_url) + path
        try:
            for _ in range(MOST_REDIRECTS + 1):
                received = await self._once(method, url, body, headers | self._headers, began)
                if received.status not in REDIRECTS:
                    return received
                target = urljoin(url, received.retry_after or "")
                if urlsplit(target)[:2] != urlsplit(url)[:2]:
                    what = f"HTTP {received.status}: it redirects to {target}, another host, which gets no key"
                    return _failed(Kind.REJECTED, what, began)
                url = target
            return _failed(Kind.REJECTED, f"it redirects more than {MOST_REDIRECTS} times", began)
        except TimeoutError:
            return _failed(Kind.TIMEOUT, f"no answer within {self._timeout_s:g} s", began)
        except aiohttp.ClientConnectorCertificateError as error:
            return _failed(Kind.UNREACHABLE, untrusted(str(error.certificate_error)), began)
        except aiohttp.ClientProxyConnectionError as error:
            return _failed(Kind.UNREACHABLE, f"the proxy {self._proxy} does not answer: {error.os_error}", began)
        except aiohttp.ClientConnectorError as error:
            return _failed(Kind.UNREACHABLE, f"no connection: {error.os_error}", began)
        except StrangerError as error:
            return _failed(Kind.UNREACHABLE, str(error), began)
        except (aiohttp.ClientError, OSError) as error:
            return _failed(Kind.UNREACHABLE, f"the connection was lost: {type(error).__name__}: {error}", began)

    async def _once(self, method: str, url: str, body: bytes | None, headers: dict[str, str], began: float) -> Received:
        target = URL(url, encoded=True)
        async with self._session.request(
            method,
            target.update_query(self._query) if self._query else target,
            data=body,
            headers=headers,
            proxy=self._proxy,
            allow_redirects=False,
        ) as response:
            location = response.headers.get("Location" if response.status in REDIRECTS else "Retry-After")
            kind = response.content_type
            try:
                content = await _read(response, stream=kind == "text/event-stream")
            except BrokenStreamError as error:
                return _failed(Kind.NO_ANSWER, str(error), began, response.status)
            return Received(response.status, content, kind, location, time.monotonic() - began)


async def _read(response: aiohttp.ClientResponse, stream: bool) -> bytes:
    """Return the body, or the answer that a stream adds up to."""
    gathering, parts, length = Gathering() if stream else None, [], 0
    async for block in response.content.iter_chunked(_BLOCK):
        length += len(block)
        if length > LONGEST_REPLY:
            response.close()
            raise BrokenStreamError(f"it is longer than {LONGEST_REPLY >> 20} MiB")
        if gathering is None:
            parts.append(block)
        else:
            gathering.feed(block)
    return b"".join(parts) if gathering is None else gathering.whole()


def _failed(kind: Kind, detail: str, began: float, status: int = 0) -> Received:
    return Received(status, b"", "", None, time.monotonic() - began, Verdict(kind, detail))
