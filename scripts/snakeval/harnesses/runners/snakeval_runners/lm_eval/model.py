"""lm-eval's models for OpenAI-compatible endpoints, for a gateway that judges and remembers answers.

lm-eval 0.4.13 stops at the first request that has no answer, and keeps the texts of answers alone. What a request looks
like, how prompts are made and what an answer scores stays lm-eval's.
"""

import asyncio
import copy
import itertools
import json
from collections.abc import Iterator, Mapping
from typing import Any

import aiohttp
from lm_eval.models.openai_completions import LocalChatCompletion, LocalCompletionsAPI
from tenacity import retry, retry_if_exception_type, stop_after_delay, wait_fixed

from ..shared.fields import Fields
from ..shared.progress import Progress
from ..shared.replies import Refusal, facts_of, refusal_of
from ..shared.samples import ReplyFacts
from .request import LmEvalRequest

# lm-eval's default of 2048 silently cuts longer prompts; the endpoint's own limit is loud.
UNLIMITED = 1 << 30
ROLLING_WINDOW = 2048
MAX_TOKENS_NAMES = ("max_gen_toks", "max_tokens", "max_new_tokens", "max_completion_tokens")
# The gateway says how long an answer may take; a gateway that was killed is soon started again on the same port.
TIMEOUT_S = 24 * 3600
LOST = (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError)
LOST_FOR_GOOD_S = 60


class UnansweredError(Exception):
    """At least one request of this pass has no answer; the model's refusals say why."""


class Text(str):
    """A generated text that remembers what it came with."""

    facts: ReplyFacts


class Loglikelihood(tuple[float, bool]):
    """(log-probability, is greedy) that remembers what it came with."""

    facts: ReplyFacts


class _Gateway:
    """Overrides shared by both models; must stand before lm-eval's class.

    Attributes:
        refusals: Why requests have no answer.
        unanswered: (task, document) pairs with such a request, over all passes.
        passes_ahead: Passes of equal requests that the progress has to expect: all of them in the first, then none.
    """

    def __init__(self, request: LmEvalRequest, progress: Progress, **kwargs: Any) -> None:
        super().__init__(  # type: ignore[call-arg]
            model=request.model,
            base_url=request.url,
            # Below 2 lm-eval takes its synchronous path.
            num_concurrent=max(2, request.parallelism),
            max_length=UNLIMITED,
            seed=request.seed,
            timeout=TIMEOUT_S,
            **kwargs,
        )
        self.refusals: list[Refusal] = []
        self.unanswered: set[tuple[str, int]] = set()
        self._progress = progress
        self._parallelism = max(1, request.parallelism)
        self.passes_ahead = request.repeats
        self._rolling = False

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
        self, requests: list[Any], cache_keys: list[Any], *, ctxlens: list[int] | None = None, **options: Any
    ) -> list[list[Any]]:
        """Answer lm-eval's requests; one list of one answer each, None or NaN where there is none."""
        if self._rolling:
            self._expect(len(requests))
        answers: list[list[Any]] = [[]] * len(requests)
        pending = enumerate(zip(requests, ctxlens or itertools.repeat(None, len(requests)), strict=True))
        connector, timeout = aiohttp.TCPConnector(limit=0), aiohttp.ClientTimeout(TIMEOUT_S)
        headers = self.header  # type: ignore[attr-defined]
        async with aiohttp.ClientSession(headers=headers, connector=connector, timeout=timeout) as session:

            async def work(pending: Iterator[tuple[int, tuple[Any, int | None]]]) -> None:
                for index, (message, context_length) in pending:
                    answers[index] = [await self._answer(session, message, context_length, **options)]
                    self._progress.advance()

            await asyncio.gather(*(work(pending) for _ in range(self._parallelism)))
        return answers

    async def _answer(
        self,
        session: aiohttp.ClientSession,
        message: Any,
        context_length: int | None,
        generate: bool = True,
        gen_kwargs: Mapping[str, object] | None = None,
    ) -> Text | Loglikelihood | tuple[float, bool] | None:
        payload = self._payload(message, generate, gen_kwargs)
        status, text = await _post(session, self.base_url, payload)  # type: ignore[attr-defined]
        if status != 200:
            self.refusals.append(refusal_in(status, text))
            return None if generate else (float("nan"), False)
        body = json.loads(text)
        answer: Text | Loglikelihood
        if generate:
            # The gateway decides what is scored; an answer without a text says nothing.
            answer = Text(self.parse_generations(body)[0] or "")  # type: ignore[attr-defined]
        else:
            answer = Loglikelihood(self.parse_logprobs(body, ctxlens=[context_length])[0])  # type: ignore[attr-defined]
        answer.facts = facts_of(Fields(body))
        return answer

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
        return payload

    def _expect(self, count: int) -> None:
        self._progress.expect(count * self.passes_ahead)

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


class ChatModel(_Gateway, LocalChatCompletion):  # type: ignore[misc]
    """Asks /chat/completions."""


class CompletionsModel(_Gateway, LocalCompletionsAPI):  # type: ignore[misc]
    """Asks /completions, for texts and for log-likelihoods."""


@retry(retry=retry_if_exception_type(LOST), stop=stop_after_delay(LOST_FOR_GOOD_S), wait=wait_fixed(1), reraise=True)
async def _post(session: aiohttp.ClientSession, url: str, payload: object) -> tuple[int, str]:
    """Return status and body; raises one of `LOST` when the gateway has been away for too long."""
    async with session.post(url, json=payload) as response:
        return response.status, await response.text()


def refusal_in(status: int, text: str) -> Refusal:
    """Return why a request has no answer, from the status and the body of the reply."""
    try:
        refusal = refusal_of(Fields(json.loads(text)).part_or_empty("error"))
    except (ValueError, TypeError):
        refusal = None
    return refusal or Refusal(f"HTTP {status}", text)
