"""The way of one request: the journal answers it, or it is adapted, limited, sent (again), judged and written down."""

import asyncio
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from snakeval.gateway.adapters import JsonObject
from snakeval.gateway.aim import Aim
from snakeval.gateway.counts import Counts
from snakeval.gateway.entries import Answer
from snakeval.gateway.identity import Occurrences, content_hash, varied_seed
from snakeval.gateway.journal import Journal
from snakeval.gateway.judge import Judgement, judge, judge_plain, judge_status
from snakeval.gateway.kinds import Kind, Rules, Treatment, Verdict
from snakeval.gateway.patience import Gate, pause_after_failure_s, pause_of_busy_s
from snakeval.gateway.request import Given, NoAnswerError, Reply, Request
from snakeval.gateway.settings import Settings
from snakeval.gateway.upstream import Received, Upstream
from snakeval.gateway.wire import Asked, Usage

DISK_PAUSE_S = 1.0
_ASKED = msgspec.json.Decoder(Asked)


@dataclass
class Door:
    """The gateway's work, apart from HTTP; see the head of the file.

    Attributes:
        settings: What the gateway was told.
        journal: Of the task.
        upstream: The endpoint.
        gate: How many may be under way.
        aim: Where a server of ours answers.
        counts: What is told at the end.
        in_a_row: Requests that have failed for good since the last answer.
        waiting_for: Why nothing moves right now; None while it does.
        broken: Why the gateway cannot do its work any more; None while it can.
    """

    settings: Settings
    journal: Journal
    upstream: Upstream
    gate: Gate
    aim: Aim
    counts: Counts = field(default_factory=Counts)
    in_a_row: int = 0
    waiting_for: str | None = None
    broken: str | None = None

    def __post_init__(self) -> None:
        self.rules = Rules(self.settings.rules)
        self.occurrences = Occurrences(self.journal)
        # What the same evaluation was given before this gateway was started.
        self._counted = set(self.journal.handed)
        for key in self._counted:
            if (answer := self.journal.find(key.hex())) is not None:
                self._count_kept(answer)
        for failed in self.journal.failed.values():
            self.counts.sent += 1
            self.counts.add_verdict(Verdict(Kind(failed.kind), failed.detail))

    def receive(self, path: str, body: bytes, headers: dict[str, str]) -> Request:
        """Return a request with its identity; `end` has to follow."""
        key, occurrence = self.occurrences.begin(content_hash(path, body))
        return Request(path, body, headers, key, occurrence)

    def end(self, request: Request, given: Given | None) -> None:
        """Say that the harness has got its answer, or that there is none.

        What counts is what a harness was given, once: not an answer that it no longer waited for and asked for again.
        """
        if given is not None:
            self.journal.hand_out(request.key, again=given.remembered)
            if (key := bytes.fromhex(request.key)) not in self._counted:
                self._counted.add(key)
                self.counts.remembered += given.remembered
                self.counts.add(given.verdicts, given.usage)
        self.occurrences.end(request.key)

    async def answer(self, request: Request) -> Given:
        """Return the answer; raises NoAnswerError when there is none for good."""
        if (kept := self.journal.find(request.key)) is not None:
            body = self._delivered(request, bytes(kept.reply), kept.latency_s, remembered=True)
            return Given(body, True, _verdicts_of(kept), _usage_of(kept))
        if self.settings.replay:
            self.counts.missing += 1
            raise NoAnswerError(Verdict(Kind.REJECTED, "the journal does not hold this request"), 424)
        if self.broken or self.in_a_row >= self.settings.give_up_after:
            raise NoAnswerError(Verdict(Kind.UNREACHABLE, self.broken or "too many requests in a row have failed"))
        sent = self._outgoing(request)
        try:
            reply = await self._ask_patiently(request, sent)
        except NoAnswerError as failure:
            self.in_a_row += 1
            self.counts.add_verdict(failure.verdict)
            self.journal.give_up(request.key, failure.verdict.kind, failure.verdict.detail)
            raise
        self.in_a_row = 0
        await self._remember(request, sent, reply)
        received, judgement = reply.received, reply.judgement
        self.counts.latencies.add(received.latency_s)
        body = self._delivered(request, received.body, received.latency_s, remembered=False)
        return Given(body, False, judgement.verdicts, judgement.usage)

    def _count_kept(self, answer: Answer) -> None:
        """Count an answer of the journal that was given to this evaluation before."""
        self.counts.add(_verdicts_of(answer), _usage_of(answer))
        if answer.life != self.settings.life:
            self.counts.remembered += 1
        else:
            self.counts.sent += 1
            self.counts.again += answer.tries - 1
            self.counts.latencies.add(answer.latency_s)

    def _outgoing(self, request: Request) -> bytes:
        """Return the body that is sent; one that is no JSON object passes as it is, for the endpoint to refuse."""
        if not request.is_judged:
            return request.body
        try:
            body: Any = msgspec.json.decode(request.body)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return request.body
        if not isinstance(body, dict):
            return request.body
        if self.settings.vary_seed:
            body = varied_seed(body, request.occurrence)
        sent: JsonObject = self.settings.adapters.outgoing(body)
        self.counts.add_sent(sent)
        return msgspec.json.encode(sent)

    def _incoming(self, reply: bytes) -> JsonObject:
        return self.settings.adapters.incoming(msgspec.json.decode(reply))

    def _delivered(self, request: Request, reply: bytes, latency_s: float, remembered: bool) -> bytes:
        if not request.is_judged:
            return reply
        told = {"key": request.key, "latency_s": round(latency_s, 4), "remembered": remembered}
        return msgspec.json.encode(self._incoming(reply) | {"snakeval": told})

    async def _ask_patiently(self, request: Request, sent: bytes) -> Reply:
        """Send until there is an answer; pauses for a busy endpoint, and a server that comes back, are no tries."""
        failed, waited_s, pauses = 0, 0.0, 0
        self.counts.sent += 1
        while True:
            generation, received = await self._send(request, sent)
            judgement = self._judge(request, received)
            verdict = judgement.verdict
            if self.rules.is_scored(verdict.kind):
                self.gate.succeeded()
                self.waiting_for = None
                return Reply(received, judgement, failed + pauses + 1, generation)
            if verdict.kind is Kind.BUSY:
                pauses += 1
                pause_s = pause_of_busy_s(received.retry_after, pauses)
                waited_s += pause_s
                if waited_s > self.settings.patience_s:
                    what = f"{verdict.detail} (waited for {self.settings.patience_s:g} s)"
                    raise NoAnswerError(Verdict(Kind.BUSY, what))
                self.waiting_for = f"the endpoint is busy ({verdict.detail}); asking again in {pause_s:.0f} s"
                self.gate.busy(pause_s)
            elif not (_may_be_another_start(received, verdict) and await self.aim.has_moved(generation)):
                failed += 1
                if self.rules.treatment(verdict.kind) is Treatment.FAILURE or failed >= self.settings.tries:
                    rejected = verdict.kind in (Kind.REJECTED, Kind.WRONG_MODEL) and received.status >= 400
                    raise NoAnswerError(verdict, received.status if rejected else 502)
                await asyncio.sleep(pause_after_failure_s(failed))
            self.counts.again += 1

    async def _send(self, request: Request, sent: bytes) -> tuple[str | None, Received]:
        """Return what came back, and from which start of the server."""
        await self.gate.enter()
        try:
            generation = self.aim.generation
            return generation, await self.upstream.send("POST", request.path, sent, request.headers)
        finally:
            self.gate.leave()

    def _judge(self, request: Request, received: Received) -> Judgement:
        failure = received.failure or judge_status(received.status, received.body)
        if failure is not None:
            return Judgement.of(failure)
        if not request.is_judged:
            return judge_plain(received.body)
        try:
            asked = _ASKED.decode(request.body)
        except msgspec.DecodeError:
            # The endpoint has understood it, or it would have said no.
            asked = Asked()
        judgement = judge(asked, received.body)
        if self.settings.adapters.reasoning and self.rules.is_scored(judgement.verdict.kind):
            # What counts is the text that is left.
            judgement = judge(asked, msgspec.json.encode(self._incoming(received.body)))
        return judgement

    async def _remember(self, request: Request, sent: bytes, reply: Reply) -> None:
        """Write the answer into the journal; a full disk is waited for, and then ends the gateway's work."""
        received, judgement = reply.received, reply.judgement
        answer = Answer(
            key=request.key,
            life=self.settings.life,
            path=request.path,
            sent=msgspec.Raw(sent),
            reply=msgspec.Raw(received.body),
            kinds=[verdict.kind.value for verdict in judgement.verdicts],
            finish_reasons=judgement.finish_reasons,
            prompt_tokens=judgement.usage.prompt_tokens,
            completion_tokens=judgement.usage.completion_tokens,
            latency_s=round(received.latency_s, 4),
            tries=reply.tries,
            attempt=self.settings.attempt,
            generation=reply.generation,
            at=round(time.time(), 3),
        )
        deadline = time.monotonic() + self.settings.disk_patience_s
        while True:
            try:
                self.journal.remember(answer)
                self.waiting_for = None
                return
            except OSError as error:
                self.waiting_for = f"the journal cannot be written: {error}"
                if time.monotonic() > deadline:
                    self.broken = f"{self.settings.journal} could not be written for too long: {error}"
                    raise NoAnswerError(Verdict(Kind.UNREACHABLE, self.broken)) from None
            await asyncio.sleep(DISK_PAUSE_S)


def _may_be_another_start(received: Received, verdict: Verdict) -> bool:
    """Return whether the server may have been started again: it is gone, or does not know the last one's key."""
    return verdict.kind is Kind.UNREACHABLE or received.status in (401, 403)


def _verdicts_of(answer: Answer) -> list[Verdict]:
    return [Verdict(Kind(kind)) for kind in answer.kinds]


def _usage_of(answer: Answer) -> Usage:
    return Usage(answer.prompt_tokens, answer.completion_tokens)


def read_limit(path: Path, otherwise: int) -> int:
    """Return how many requests may be under way, as the task's share is now; the last known where it cannot be read."""
    try:
        return max(1, int(path.read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return otherwise
