"""The last interceptor of the adapter: sends requests to the endpoint, keeps answers, counts failures.

It stands where nemo-evaluator's own interceptors `endpoint` and `caching` would. The former has no timeout and makes an
empty text of a missing one, which would be scored; the latter gives equal requests the same answer, so that repeats
would collapse.
"""

import os
import re
import threading
import time
from pathlib import Path
from typing import Any, final

import requests
from nemo_evaluator.adapters.decorators import register_for_adapter
from nemo_evaluator.adapters.types import (
    AdapterGlobalContext,
    AdapterRequest,
    AdapterResponse,
    FatalErrorException,
    RequestToResponseInterceptor,
)
from pydantic import BaseModel

from .answers import NoAnswer, check_answer
from .journal import Answer, Journal, request_key

NAME = "snakeval_endpoint"
FIRST_PAUSE_S = 0.5
# Some harnesses wait for a minute after other statuses; after this one they try again as they do after any error.
FAILED_STATUS = 502
_VARIABLE = re.compile(r"[A-Z_][A-Z0-9_]+")


@register_for_adapter(name=NAME, description="Sends requests, keeps answers across attempts, and never invents one")
@final
class SnakevalEndpoint(RequestToResponseInterceptor):
    """See the head of the file."""

    class Params(BaseModel):
        """What the runner tells.

        Attributes:
            answers: File of the answers.
            events: File of this attempt's events.
            timeout_s: Seconds that a request may take.
            retries: Times that a failed request is sent again, beside what the harness does.
            tries: How often the harness itself sends a request that fails.
            give_up_after: Requests that fail for good, one after another, before the task is ended.
        """

        answers: str
        events: str
        timeout_s: float
        retries: int
        tries: int
        give_up_after: int

    def __init__(self, params: Params) -> None:
        self._params = params
        self._journal = Journal(Path(params.answers), Path(params.events))
        self._lock = threading.Lock()
        self._in_a_row = 0.0
        self._local = threading.local()

    def intercept_request(self, ar: AdapterRequest, context: AdapterGlobalContext) -> AdapterResponse:
        """Return the endpoint's answer, or an error that the harness can neither score nor overlook."""
        body = ar.r.get_json()
        key = request_key(body)
        kept = self._journal.take(key)
        if kept is not None:
            return _response(ar, 200, kept.body, kept.latency_s)
        try:
            answer = self._ask_patiently(ar, body, context.url)
        except NoAnswer as failure:
            self._journal.failed(key, failure.reason, failure.detail)
            self._count(failure)
            status = int(failure.reason.removeprefix("HTTP ")) if failure.reason.startswith("HTTP 4") else FAILED_STATUS
            message = f"{failure.reason}: {failure.detail[:500]}"
            return _response(ar, FAILED_STATUS if status == 429 else status, message, 0.0)
        self._journal.answered(key, body, answer)
        self._in_a_row = 0.0
        return _response(ar, 200, answer.body, answer.latency_s)

    def _ask_patiently(self, ar: AdapterRequest, body: Any, url: str) -> Answer:
        for attempt in range(self._params.retries):
            try:
                return self._ask(ar, body, url)
            except NoAnswer as failure:
                if failure.permanent:
                    raise
            time.sleep(FIRST_PAUSE_S * 2.0**attempt)
        return self._ask(ar, body, url)

    def _ask(self, ar: AdapterRequest, body: Any, url: str) -> Answer:
        if not hasattr(self._local, "session"):
            self._local.session = requests.Session()
            # Nothing but the harness decides where requests go and with which key.
            self._local.session.trust_env = False
        skipped = ("host", "content-length", "accept-encoding", "connection")
        headers = {name: _resolved(value) for name, value in ar.r.headers if name.lower() not in skipped}
        started = time.monotonic()
        try:
            reply = self._local.session.post(
                url, json=body, headers=headers, timeout=self._params.timeout_s, allow_redirects=False
            )
        except requests.Timeout:
            raise NoAnswer("timeout", f"no answer within {self._params.timeout_s:g} s", False) from None
        except (requests.RequestException, OSError) as error:
            raise NoAnswer("connection error", f"{type(error).__name__}: {error}", False) from None
        text = reply.content.decode("utf-8", errors="replace")
        check_answer(body, reply.status_code, text)
        return Answer(text, round(time.monotonic() - started, 3))

    def _count(self, failure: NoAnswer) -> None:
        """End the task when there is no hope; tries that the harness repeats weigh less."""
        with self._lock:
            self._in_a_row += 1.0 if failure.permanent else 1.0 / max(self._params.tries, 1)
            hopeless = self._in_a_row >= self._params.give_up_after
        if hopeless:
            raise FatalErrorException(f"gave up after {self._params.give_up_after} failed requests in a row")


def _resolved(value: str) -> str:
    """Return what a variable holds in the place of its name: no header of a configuration is to hold a key itself."""
    return os.environ.get(value, value) if _VARIABLE.fullmatch(value) else value


def _response(ar: AdapterRequest, status: int, text: str, latency_s: float) -> AdapterResponse:
    response = requests.Response()
    response._content = text.encode()
    response.status_code = status
    response.reason = "OK" if status == 200 else "no answer"
    response.headers["Content-Type"] = "application/json" if status == 200 else "text/plain"
    response.encoding = "utf-8"
    return AdapterResponse(r=response, rctx=ar.rctx, latency_ms=round(latency_s * 1000, 2))
