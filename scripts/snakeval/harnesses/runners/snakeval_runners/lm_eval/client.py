"""Sends requests to an OpenAI-compatible endpoint: in parallel, with retries, and trusting no answer unseen."""

import asyncio
import json
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import aiohttp

from ..shared.cache import Reply, RequestCache, request_key
from ..shared.completion import Completion, read_completion
from ..shared.failures import Failures, RequestError
from ..shared.fields import Fields
from ..shared.progress import Progress

RETRYABLE_STATUS = frozenset({408, 409, 425, 429})
FIRST_BACKOFF_S = 0.5
LONGEST_BACKOFF_S = 30.0

# A generated text, or (log-probability, is greedy).
Answer = str | tuple[float, bool]
Parse = Callable[[Completion], Answer]


@dataclass(frozen=True)
class Request:
    """One request: its body, its place among identical ones, and what makes an answer of the reply."""

    payload: object
    occurrence: int
    parse: Parse


@dataclass(frozen=True)
class Endpoint:
    """Where requests go and how patiently."""

    url: str
    api_key: str
    parallelism: int
    request_timeout_s: float
    max_retries: int


class Client:
    """Asks the endpoint, remembers the answers, counts everything."""

    def __init__(self, endpoint: Endpoint, cache: RequestCache, progress: Progress) -> None:
        self.endpoint = endpoint
        self.cache = cache
        self.progress = progress
        self.failures = Failures(limit_in_a_row=max(10, endpoint.parallelism))
        self.sent = self.cached = self.retried = 0
        self.prompt_tokens: int | None = None
        self.completion_tokens: int | None = None

    async def ask_all(self, requests: list[Request]) -> list[Reply | None]:
        """Answer every request, from the cache where possible.

        Returns:
            One reply per request in the same order; None for those that failed for good, and for those that were
            not sent any more because too many in a row had failed.
        """
        replies: list[Reply | None] = [None] * len(requests)
        pending = iter(enumerate(requests))
        headers = {"Authorization": f"Bearer {self.endpoint.api_key}"} if self.endpoint.api_key else {}
        timeout = aiohttp.ClientTimeout(total=self.endpoint.request_timeout_s)
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(headers=headers, timeout=timeout, connector=connector) as session:
            workers = [
                asyncio.create_task(self._work(session, pending, replies)) for _ in range(self.endpoint.parallelism)
            ]
            try:
                await _first_error_or_all(workers, lambda: self.failures.hopeless)
            finally:
                for worker in workers:
                    worker.cancel()
                await asyncio.gather(*workers, return_exceptions=True)
        return replies

    async def _work(
        self, session: aiohttp.ClientSession, pending: Iterator[tuple[int, Request]], replies: list[Reply | None]
    ) -> None:
        for index, request in pending:
            if self.failures.hopeless:
                return
            try:
                replies[index] = await self._answer(session, request)
            except RequestError as error:
                self.failures.add(error)
            self.progress.advance()

    async def _answer(self, session: aiohttp.ClientSession, request: Request) -> Reply:
        key = request_key(request.payload, request.occurrence)
        reply = self.cache.get(key)
        if reply is not None:
            self.cached += 1
        else:
            self.sent += 1
            reply = await self._ask_patiently(session, request)
            self.failures.success()
            self.cache.put(key, reply)
        self._count_tokens(reply)
        return reply

    async def _ask_patiently(self, session: aiohttp.ClientSession, request: Request) -> Reply:
        for attempt in range(self.endpoint.max_retries):
            try:
                return await self._ask(session, request)
            except RequestError as error:
                if not error.retryable:
                    raise
                pause_s = min(FIRST_BACKOFF_S * 2.0**attempt, LONGEST_BACKOFF_S) * random.uniform(0.8, 1.2)
                await asyncio.sleep(max(pause_s, min(error.retry_after_s or 0.0, self.endpoint.request_timeout_s)))
            self.retried += 1
        return await self._ask(session, request)

    async def _ask(self, session: aiohttp.ClientSession, request: Request) -> Reply:
        started = time.monotonic()
        try:
            async with session.post(self.endpoint.url, json=request.payload) as response:
                text = await response.text(errors="replace")
        except TimeoutError as error:
            detail = f"no answer within {self.endpoint.request_timeout_s:g} s"
            raise RequestError("timeout", detail, retryable=True) from error
        except (aiohttp.ClientError, OSError) as error:
            detail = f"{type(error).__name__}: {error}"
            raise RequestError("connection error", detail, retryable=True) from error
        completion = _completion(response.status, response.headers.get("Retry-After"), text)
        return Reply(
            answer=request.parse(completion),
            finish_reason=completion.choices[0].finish_reason,
            prompt_tokens=completion.prompt_tokens,
            completion_tokens=completion.completion_tokens,
            latency_s=round(time.monotonic() - started, 3),
        )

    def _count_tokens(self, reply: Reply) -> None:
        if reply.prompt_tokens is not None:
            self.prompt_tokens = (self.prompt_tokens or 0) + reply.prompt_tokens
        if reply.completion_tokens is not None:
            self.completion_tokens = (self.completion_tokens or 0) + reply.completion_tokens


async def _first_error_or_all(workers: list[asyncio.Task[None]], stop: Callable[[], bool]) -> None:
    """Wait until all workers have ended, one has raised, or there is no point in going on."""
    running: set[asyncio.Task[None]] = set(workers)
    while running and not stop():
        done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
        for worker in done:
            worker.result()


def _completion(status: int, retry_after: str | None, text: str) -> Completion:
    if status != 200:
        retryable = status in RETRYABLE_STATUS or status >= 500
        raise RequestError(f"HTTP {status}", text, retryable=retryable, retry_after_s=_as_seconds(retry_after))
    try:
        body = json.loads(text)
    except ValueError as error:
        raise RequestError("answer is not JSON", text, retryable=True) from error
    if not isinstance(body, dict):
        raise RequestError("answer is not a JSON object", text, retryable=True)
    choices = body.get("choices")
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
        raise RequestError("answer has no choices", text, retryable=True)
    return read_completion(Fields(body))


def _as_seconds(retry_after: str | None) -> float | None:
    """Retry-After in seconds; its other form, a date, is rare and counts as absent."""
    try:
        return max(float(retry_after or ""), 0.0)
    except ValueError:
        return None
