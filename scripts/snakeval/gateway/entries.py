"""The lines of a journal: what they hold, and how a damaged one is known."""

import hashlib

import msgspec
from msgspec import Struct

_DIGEST_LENGTH = 16
_HEAD = b'{"digest":"'
_MIDDLE = b'","entry":'


class Header(Struct, frozen=True, tag="header"):
    """The first entry: what the answers are good for.

    Attributes:
        deployment: Fingerprint of the deployment that answers.
        adapters: Hash of what is done to requests and answers on their way.
        written_by: Version of Snakeval.
    """

    deployment: str
    adapters: str
    written_by: str


class Answer(Struct, frozen=True, tag="answer"):
    """One answered request.

    Attributes:
        key: Identity of the request, see `identity`.
        life: Which life of the harness asked; an answer counts as handed out in that life.
        path: Below the base of the API.
        sent: Body that really went out.
        reply: Body that came back, before the adapters changed it.
        kinds: One per choice.
        finish_reasons: One per choice.
        prompt_tokens, completion_tokens: As the endpoint counts them.
        latency_s: Of the try that succeeded.
        tries: How often it was sent.
        attempt: Of the rule.
        generation: Which start of the server answered; None where it is not ours.
        at: Seconds since the epoch.
    """

    key: str
    life: str
    path: str
    sent: msgspec.Raw
    reply: msgspec.Raw
    kinds: list[str]
    finish_reasons: list[str | None]
    prompt_tokens: int | None
    completion_tokens: int | None
    latency_s: float
    tries: int
    attempt: int
    generation: str | None
    at: float


class Given(Struct, frozen=True, tag="given"):
    """A remembered answer was handed out once more, in another life of the harness."""

    key: str
    life: str


class Failed(Struct, frozen=True, tag="failed"):
    """A request got no answer for good, in one life of the harness."""

    key: str
    life: str
    kind: str
    detail: str


Entry = Header | Answer | Given | Failed

_ENTRY = msgspec.json.Decoder(Entry)


def line_of(entry: Entry) -> bytes:
    """Return an entry as a line."""
    content = msgspec.json.encode(entry)
    return b"".join((_HEAD, _digest(content), _MIDDLE, content, b"}\n"))


def _digest(content: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=_DIGEST_LENGTH // 2).hexdigest().encode()


def entry_of(line: bytes) -> Entry | None:
    """Return what a line holds, None when it is damaged."""
    begin = len(_HEAD) + _DIGEST_LENGTH
    content = line[begin + len(_MIDDLE) : -2]
    if line[len(_HEAD) : begin] != _digest(content):
        return None
    try:
        entry: Entry = _ENTRY.decode(content)
        return entry
    except msgspec.DecodeError:
        return None
