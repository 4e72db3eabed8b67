"""Inspect's client for OpenAI-compatible endpoints, trusting no answer unseen and remembering every one.

Inspect 0.3.285 scores a null answer as an empty one and some refused requests (status 400: too long, filtered) as
answers, sends the same request, seed included, in every epoch, and begins the samples of a killed task anew. What a
request looks like and how prompts are made stays Inspect's.
"""

import json
import time
from collections import Counter
from typing import Any, ClassVar

from inspect_ai.log._samples import sample_active
from inspect_ai.model import GenerateConfig, ModelAPI, ModelOutput, modelapi
from inspect_ai.model._providers.openai_compatible import OpenAICompatibleAPI
from openai import APIConnectionError, APIError, APIStatusError, APITimeoutError, NotGiven, Omit
from openai.types.chat import ChatCompletion

from ..shared.cache import Reply, RequestCache, request_key
from ..shared.completion import read_completion
from ..shared.failures import Failures, RequestError
from ..shared.fields import Fields
from .request import InspectRequest

PROVIDER = "snakeval"
API_KEY = "SNAKEVAL_ENDPOINT_KEY"
# The OpenAI client insists on a key; an endpoint that asks for none ignores it.
NO_KEY = "none"


class Ledger:
    """What was asked, what came back, what failed; shared by all clients of a task."""

    def __init__(self, request: InspectRequest) -> None:
        self.request = request
        self.journal = RequestCache(request.journal_path)
        self.failures = Failures(limit_in_a_row=max(10, request.parallelism))
        self.sent = self.cached = self.attempts = 0
        self.prompt_tokens: int | None = None
        self.completion_tokens: int | None = None
        self._seen: Counter[str] = Counter()

    @property
    def retried(self) -> int:
        """Requests that were sent again."""
        return max(self.attempts - self.sent, 0)

    def occurrence(self, identity: object) -> int:
        """How many requests of this very kind came before."""
        key = request_key(identity, 0)
        self._seen[key] += 1
        return self._seen[key] - 1

    def count_tokens(self, reply: Reply) -> None:
        """Add what an answer says that it used."""
        if reply.prompt_tokens is not None:
            self.prompt_tokens = (self.prompt_tokens or 0) + reply.prompt_tokens
        if reply.completion_tokens is not None:
            self.completion_tokens = (self.completion_tokens or 0) + reply.completion_tokens


@modelapi(name=PROVIDER)
def snakeval() -> type[ModelAPI]:
    """Register the client under its name."""
    return Endpoint


class Endpoint(OpenAICompatibleAPI):
    """Asks /chat/completions of the endpoint under evaluation."""

    ledger: ClassVar[Ledger]

    def __init__(
        self,
        model_name: str,
        base_url: str | None = None,
        api_key: str | None = None,
        config: GenerateConfig = GenerateConfig(),  # noqa: B008
    ) -> None:
        request = self.ledger.request
        super().__init__(
            model_name,
            base_url=base_url,
            api_key=api_key,
            config=config,
            service=PROVIDER,
            api_key_var=API_KEY,
            client_timeout=request.request_timeout_s,
            max_retries=request.max_retries,
        )

    def initialize(self) -> None:
        """Make the client, and count what it really sends."""
        super().initialize()
        hooks = self.client._client.event_hooks["request"]
        if self._count_attempt not in hooks:
            hooks.append(self._count_attempt)

    async def _count_attempt(self, _request: Any) -> None:
        self.ledger.attempts += 1

    def should_retry(self, ex: BaseException) -> bool:
        """The OpenAI client has retried already, with the pauses that the endpoint asks for."""
        return False

    def handle_bad_request(self, ex: APIStatusError) -> ModelOutput | Exception:
        """A request that was refused has no answer."""
        return _explain(ex, self.ledger.request.request_timeout_s)

    async def _generate_completion(self, request: dict[str, Any], config: GenerateConfig) -> ChatCompletion:
        ledger = self.ledger
        active = sample_active()
        sample, epoch = (active.sample.id, active.epoch) if active else (None, 1)
        identity = {name: value for name, value in request.items() if name != "extra_headers" and _is_given(value)}
        identity = json.loads(json.dumps({"sample": sample, "epoch": epoch, "request": identity}, default=str))
        occurrence = ledger.occurrence(identity)
        if isinstance(request.get("seed"), int):
            # Epochs, and requests that a solver repeats to vote, would otherwise be the same sample again.
            again = occurrence * ledger.request.repeats if request.get("temperature") != 0 else 0
            request["seed"] += epoch - 1 + again
        key = request_key(identity, occurrence)
        reply = ledger.journal.get(key)
        if reply is not None:
            ledger.cached += 1
        else:
            reply = await self._ask(request, config)
            ledger.journal.put(key, reply)
        ledger.count_tokens(reply)
        return ChatCompletion.construct(**reply.answer)

    async def _ask(self, request: dict[str, Any], config: GenerateConfig) -> Reply:
        ledger = self.ledger
        if ledger.failures.hopeless:
            raise RequestError("not sent", "too many requests in a row had failed", retryable=False)
        ledger.sent += 1
        started = time.monotonic()
        try:
            completion = await super()._generate_completion(request, config)
            reply = _checked_reply(completion, started)
        except (APIError, ValueError, RequestError) as error:
            explained = _explain(error, ledger.request.request_timeout_s)
            ledger.failures.add(explained)
            raise explained from error
        ledger.failures.success()
        return reply


def _is_given(value: Any) -> bool:
    return not isinstance(value, NotGiven | Omit)


def _checked_reply(completion: Any, started: float) -> Reply:
    """Return the answer; raises RequestError when it has none, e.g. all tokens went into reasoning."""
    if not isinstance(completion, ChatCompletion):
        raise RequestError("answer is not JSON", str(completion), retryable=True)
    body = completion.to_dict(mode="json")
    read = read_completion(Fields(body))
    if not read.choices or len(read.choices) != len(body["choices"]):
        raise RequestError("answer has no choices", json.dumps(body)[:200], retryable=True)
    for choice in read.choices:
        reason = choice.lacking()
        if reason and not choice.tool_calls and not choice.is_refusal:
            raise RequestError("no content", reason, retryable=False)
    return Reply(
        answer=body,
        finish_reason=read.choices[0].finish_reason,
        prompt_tokens=read.prompt_tokens,
        completion_tokens=read.completion_tokens,
        latency_s=round(time.monotonic() - started, 3),
    )


def _explain(error: Exception, timeout_s: float) -> RequestError:
    if isinstance(error, RequestError):
        return error
    if isinstance(error, APITimeoutError):
        return RequestError("timeout", f"no answer within {timeout_s:g} s", retryable=True)
    if isinstance(error, APIConnectionError):
        cause = error.__cause__ or error
        return RequestError("connection error", f"{type(cause).__name__}: {cause}", retryable=True)
    if isinstance(error, APIStatusError):
        return RequestError(f"HTTP {error.status_code}", error.response.text, retryable=False)
    return RequestError("answer is not JSON", str(error), retryable=True)
