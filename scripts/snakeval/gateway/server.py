"""The gateway as a program: HTTP on the loopback for the harness, a file that says where and what has been counted."""

import asyncio
import contextlib
import hmac
import json
import os
import signal
import sys
import time
from pathlib import Path

import msgspec
from aiohttp import web

from snakeval import __version__
from snakeval.gateway.aim import Aim
from snakeval.gateway.door import Door, read_limit
from snakeval.gateway.entries import Header
from snakeval.gateway.journal import Journal
from snakeval.gateway.owner import ServerProof
from snakeval.gateway.patience import Gate
from snakeval.gateway.request import Given, NoAnswerError
from snakeval.gateway.settings import ENDPOINT_KEY_VARIABLE, TOKEN_VARIABLE, Settings, read_settings
from snakeval.gateway.stream import events
from snakeval.gateway.upstream import Upstream, unproven
from snakeval.run.gateway import GatewayState
from snakeval.run.paths import ServerPaths

LOOPBACK = "127.0.0.1"
PREFIX = "/v1"
# Engines have them beside their API, not below it; lm-eval asks them for the tokens of log-likelihoods.
BESIDE_API = ("/tokenizer_info", "/tokenize", "/detokenize")
TELL_EVERY_S = 1.0
# The harness has ended, so nobody waits for what is under way; what comes in this time is remembered all the same.
LAST_ANSWERS_S = 1.0
LONGEST_REQUEST = 256 << 20
# They belong to one connection, or are ours to set.
_OWN_HEADERS = frozenset(
    {
        "accept-encoding",
        "api-key",
        "authorization",
        "connection",
        "content-length",
        "cookie",
        "expect",
        "host",
        "keep-alive",
        "proxy-authorization",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "x-api-key",
    }
)


class Gateway:
    """HTTP around a `Door`."""

    def __init__(self, door: Door, token: str) -> None:
        self._door = door
        self._token = token.encode()

    def application(self) -> web.Application:
        """Return the application."""
        application = web.Application(client_max_size=LONGEST_REQUEST)
        application.router.add_route("POST", f"{PREFIX}/{{path:.*}}", self._post)
        for path in (f"{PREFIX}/{{path:.*}}", *BESIDE_API):
            application.router.add_route("*", path, self._pass)
        return application

    async def _post(self, request: web.Request) -> web.StreamResponse:
        if not self._is_authorised(request):
            return self._refuse()
        body = await request.read()
        asked = self._door.receive(_path(request), body, _headers(request))
        given: Given | None = None
        try:
            answer = await self._door.answer(asked)
            response = await _deliver(request, body, answer.body)
            given = answer
            return response
        except NoAnswerError as failure:
            return _failure(failure)
        finally:
            # A harness that has gone away, or has been given an error, asks for the same answer when it asks again.
            self._door.end(asked, given)

    async def _pass(self, request: web.Request) -> web.StreamResponse:
        """Forward what asks for no answer of the model: listings and the like, neither judged nor remembered."""
        if not self._is_authorised(request):
            return self._refuse()
        body = await request.read() or None
        upstream, beside = self._door.upstream, request.path in BESIDE_API
        received = await upstream.send(request.method, _path(request), body, _headers(request), beside=beside)
        if received.failure is not None:
            return _failure(NoAnswerError(received.failure))
        return web.Response(status=received.status, body=received.body, content_type=received.content_type or None)

    def _is_authorised(self, request: web.Request) -> bool:
        given = request.headers.get("Authorization", "").removeprefix("Bearer ")
        given = given or request.headers.get("api-key", "") or request.headers.get("x-api-key", "")
        return hmac.compare_digest(given.encode(), self._token)

    def _refuse(self) -> web.Response:
        if self._door.counts.unauthorised == 0:
            _say("a request came without the key of SNAKEVAL_API_KEY, which is set for the harness; it got HTTP 401")
        self._door.counts.unauthorised += 1
        return _error(401, "the key of this endpoint is in the environment variable SNAKEVAL_API_KEY")


async def _deliver(request: web.Request, body: bytes, answer: bytes) -> web.StreamResponse:
    """Send an answer whole, or as the stream that the harness asked for."""
    if not _wants_stream(body):
        response = web.Response(body=answer, content_type="application/json")
        await response.prepare(request)
        await response.write_eof()
        return response
    stream = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-cache"})
    await stream.prepare(request)
    for event in events(msgspec.json.decode(answer)):
        await stream.write(event)
    await stream.write_eof()
    return stream


def _wants_stream(body: bytes) -> bool:
    if b'"stream"' not in body:
        return False
    asked = msgspec.json.decode(body)
    return isinstance(asked, dict) and asked.get("stream") is True


def _failure(failure: NoAnswerError) -> web.Response:
    return _error(failure.status, str(failure), kind=failure.verdict.kind)


def _error(status: int, message: str, kind: str = "unauthorised") -> web.Response:
    content = {"error": {"message": message, "type": "snakeval_gateway", "code": kind}}
    # Clients that know the header do not ask again: the gateway has done so.
    return web.json_response(content, status=status, headers={"x-should-retry": "false"})


def _path(request: web.Request) -> str:
    return request.raw_path.removeprefix(PREFIX)


def _headers(request: web.Request) -> dict[str, str]:
    return {
        name: value
        for name, value in request.headers.items()
        if name.lower() not in _OWN_HEADERS and not name.lower().startswith("x-stainless-")
    }


async def serve(settings: Settings, token: str, endpoint_key: str | None) -> int:
    """Serve until a signal asks to end; return the exit status: 1 when the gateway could not do its work."""
    header = Header(settings.deployment, settings.adapters.hash, __version__)
    journal = Journal(settings.journal, header, settings.life, settings.earlier)
    if str(journal.damage):
        _say(f"{settings.journal}: {journal.damage}; what is missing is asked again")
    adapters = settings.adapters
    headers = adapters.own_headers(endpoint_key, os.environ)
    proof = ServerProof(ServerPaths(settings.server)).stranger if settings.server is not None else unproven
    timeout_s = settings.request_timeout_s
    upstream = Upstream(settings.base_url, headers, adapters.query, settings.own_server, timeout_s, proof)
    limit = _Limit(settings.limit)
    async with upstream:
        gate = Gate(limit)
        aim = Aim(settings.target, adapters, upstream, gate)
        door = Door(settings, journal, upstream, gate, aim)
        following = asyncio.create_task(aim.follow())
        application = Gateway(door, token).application()
        runner = web.AppRunner(application, access_log=None, handle_signals=False, shutdown_timeout=LAST_ANSWERS_S)
        await runner.setup()
        site = web.TCPSite(runner, LOOPBACK, settings.port, reuse_address=True)
        await site.start()
        address = f"http://{LOOPBACK}:{runner.addresses[0][1]}{PREFIX}"
        await _until_asked_to_end(door, settings, address)
        following.cancel()
        await runner.cleanup()
        _tell(settings.state, address, door)
        journal.close()
        return 1 if door.broken else 0


class _Limit:
    """The task's share of the deployment's requests, read again every few seconds."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read = -1e9
        self._known = 1

    def __call__(self) -> int:
        if time.monotonic() - self._read > TELL_EVERY_S:
            self._known, self._read = read_limit(self._path, self._known), time.monotonic()
        return self._known


async def _until_asked_to_end(door: Door, settings: Settings, address: str) -> None:
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    if settings.lifeline:
        # Whoever started the gateway holds the other end, and lets it go when it dies.
        loop.add_reader(0, lambda: ended.set() if not os.read(0, 4096) else None)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        loop.add_signal_handler(number, ended.set)
    while not ended.is_set():
        _tell(settings.state, address, door)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(ended.wait(), TELL_EVERY_S)


def _tell(state: Path, address: str, door: Door) -> None:
    """Write where the gateway listens and what it has counted; a full disk is no reason to end."""
    counts = door.counts
    told = GatewayState(
        address=address,
        pid=os.getpid(),
        under_way=door.gate.under_way,
        allowed=door.gate.allowed,
        waiting_for=door.aim.waiting_for or door.waiting_for,
        hopeless=door.in_a_row >= door.settings.give_up_after,
        broken=door.broken,
        sent=counts.sent,
        remembered=counts.remembered,
        again=counts.again,
        missing=counts.missing,
        unanswered=len(door.journal.failed),
        unauthorised=counts.unauthorised,
        kinds=dict(counts.kinds),
        details={kind: tuple(details) for kind, details in counts.details.items()},
        prompt_tokens=counts.prompt_tokens,
        completion_tokens=counts.completion_tokens,
        latency_p50_s=counts.latencies.percentile(0.5),
        latency_p90_s=counts.latencies.percentile(0.9),
        latency_p99_s=counts.latencies.percentile(0.99),
        sampling={name: tuple(values) for name, values in counts.values.items()},
    )
    with contextlib.suppress(OSError):
        told.write(state)


def _say(message: str) -> None:
    print(f"[gateway {time.strftime('%Y-%m-%d %H:%M:%S')}] {message}", file=sys.stderr, flush=True)


def main(arguments: list[str]) -> int:
    """Read the settings file that is the one argument, and serve.

    The endpoint's key comes in SNAKEVAL_ENDPOINT_KEY, the harness's in SNAKEVAL_GATEWAY_TOKEN; both are taken out of
    the environment at once.
    """
    settings = read_settings(Path(arguments[0]))
    token = os.environ.pop(TOKEN_VARIABLE)
    endpoint_key = os.environ.pop(ENDPOINT_KEY_VARIABLE, None)
    try:
        return asyncio.run(serve(settings, token, endpoint_key))
    except OSError as error:
        print(json.dumps({"error": str(error)}), file=sys.stderr)
        return 1
