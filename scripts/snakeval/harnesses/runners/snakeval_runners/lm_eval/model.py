"""lm-eval's models for OpenAI-compatible endpoints, with Snakeval's client in the place of lm-eval's.

lm-eval 0.4.13 scores a null answer as an empty one, retries what cannot succeed, and stops at the first request that
fails for good. What a request looks like and how prompts are made stays lm-eval's.
"""

import copy
import itertools
from collections import Counter
from collections.abc import Mapping
from typing import Any

from lm_eval.models.openai_completions import LocalChatCompletion, LocalCompletionsAPI

from ..shared.cache import Reply, request_key
from ..shared.failures import LogprobsError
from .client import Client, Parse, Request
from .parsing import parse_loglikelihood, parse_text
from .request import LmEvalRequest

# lm-eval's default of 2048 silently cuts longer prompts; the endpoint's own limit is loud.
UNLIMITED = 1 << 30
ROLLING_WINDOW = 2048
MAX_TOKENS_NAMES = ("max_gen_toks", "max_tokens", "max_new_tokens", "max_completion_tokens")


class UnansweredError(Exception):
    """At least one request of this pass has no answer; the client's counters say why."""


class Text(str):
    """A generated text that remembers the reply it came with."""

    reply: Reply


class Loglikelihood(tuple[float, bool]):
    """(log-probability, is greedy) that remembers the reply it came with."""

    reply: Reply


class _Endpoint:
    """Overrides shared by both models; must stand before lm-eval's class.

    Attributes:
        client: Sends the requests.
        unanswered: (task, document) pairs with a request that failed for good, over all passes.
    """

    def __init__(self, request: LmEvalRequest, client: Client, **kwargs: Any) -> None:
        super().__init__(  # type: ignore[call-arg]
            model=request.model,
            base_url=request.url,
            # Below 2 lm-eval takes its synchronous path; the real limit is the client's.
            num_concurrent=max(2, request.parallelism),
            max_length=UNLIMITED,
            seed=request.seed,
            timeout=request.request_timeout_s,
            **kwargs,
        )
        self.client = client
        self.unanswered: set[tuple[str, int]] = set()
        self._repeats = request.repeats
        self._pass = 0
        self._rolling = False
        self._seen: Counter[str] = Counter()

    def start_pass(self, number: int) -> None:
        """Begin the number-th evaluation (from 0) of the same documents."""
        self._pass = number
        self._seen.clear()

    def generate_until(self, requests: list[Any], disable_tqdm: bool = False) -> list[str]:
        self._expect(len(requests))
        return self._complete(requests, super().generate_until(requests, disable_tqdm=True))  # type: ignore[misc]

    def loglikelihood(self, requests: list[Any], **kwargs: Any) -> list[tuple[float, bool]]:
        self._expect(len(requests))
        return self._complete(requests, super().loglikelihood(requests, disable_tqdm=True))  # type: ignore[misc]

    def loglikelihood_rolling(self, requests: list[Any], disable_tqdm: bool = False) -> list[float]:
        self._rolling, self.max_length = True, ROLLING_WINDOW - 1
        try:
            values = super().loglikelihood_rolling(requests, disable_tqdm=True)  # type: ignore[misc]
        finally:
            self._rolling, self.max_length = False, UNLIMITED
        return self._complete(requests, [None if value != value else value for value in values])

    async def get_batched_requests(
        self,
        requests: list[Any],
        cache_keys: list[Any],
        *,
        generate: bool = True,
        ctxlens: list[int] | None = None,
        gen_kwargs: Mapping[str, object] | None = None,
        **kwargs: Any,
    ) -> list[list[Any]]:
        """Answer lm-eval's requests; one list of one answer each, None or NaN where there is none."""
        if self._rolling:
            self.client.progress.expect(len(requests) * (self._repeats if self._pass == 0 else 0))
        prepared = []
        for message, context_length in zip(requests, ctxlens or itertools.repeat(None, len(requests)), strict=True):
            payload = self._payload(message, generate, gen_kwargs)
            occurrence = self._occurrence(payload)
            if generate and payload.get("temperature"):
                # lm-eval would send identical requests, seed included, and get identical "samples".
                payload["seed"] += occurrence * self._repeats
            parse = parse_text if generate else _loglikelihood_parser(message, context_length)
            prepared.append(Request(payload, occurrence, parse))
        replies = await self.client.ask_all(prepared)
        missing = None if generate else (float("nan"), False)
        return [[missing if reply is None else _remember(reply, generate)] for reply in replies]

    def _payload(self, message: Any, generate: bool, gen_kwargs: Mapping[str, object] | None) -> dict[str, Any]:
        options = copy.deepcopy(dict(gen_kwargs or {}))
        # Whatever the task calls it; the first is what the configuration sets.
        limits = [options.pop(name) for name in MAX_TOKENS_NAMES if name in options]
        if limits:
            options["max_gen_toks"] = limits[0]
        payload: dict[str, Any] = self._create_payload(  # type: ignore[attr-defined]
            self.create_message([message]),  # type: ignore[attr-defined]
            generate=generate,
            gen_kwargs=options,
            seed=self._seed,  # type: ignore[attr-defined]
        )
        payload["seed"] = int(payload["seed"]) + self._pass
        return payload

    def _occurrence(self, payload: object) -> int:
        key = request_key(payload, 0)
        self._seen[key] += 1
        return self._seen[key] - 1

    def _expect(self, count: int) -> None:
        if self._pass == 0:
            self.client.progress.expect(count * self._repeats)

    def _complete(self, requests: list[Any], answers: list[Any]) -> list[Any]:
        """Note whose answer is missing; raise UnansweredError if any is."""
        missing = {
            (str(request.task_name), int(request.doc_id))
            for request, answer in zip(requests, answers, strict=True)
            if answer is None or (isinstance(answer, tuple) and answer[0] != answer[0])
        }
        self.unanswered |= missing
        if missing:
            raise UnansweredError
        return answers


class ChatModel(_Endpoint, LocalChatCompletion):  # type: ignore[misc]
    """Asks /chat/completions."""


class CompletionsModel(_Endpoint, LocalCompletionsAPI):  # type: ignore[misc]
    """Asks /completions, for texts and for log-likelihoods."""


def _remember(reply: Reply, generate: bool) -> Text | Loglikelihood:
    answer = Text(reply.answer) if generate else Loglikelihood(reply.answer)
    answer.reply = reply
    return answer


def _loglikelihood_parser(message: Any, context_length: int | None) -> Parse:
    if context_length is None or not isinstance(message, list):
        raise LogprobsError("the prompt is not a list of tokens")
    return lambda completion: parse_loglikelihood(completion, len(message), context_length)
