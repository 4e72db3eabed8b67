"""Streams of server-sent events: read from an endpoint into a whole answer, and made of one for a harness."""

import json
from collections.abc import Iterator
from typing import Any

from snakeval.gateway.adapters import JsonObject

DONE = "[DONE]"


class BrokenStreamError(Exception):
    """A stream that ended before its end mark, or that holds something else than answers."""


class Gathering:
    """Puts the pieces of a stream together; `feed` takes the body as it comes, in pieces of any size."""

    def __init__(self) -> None:
        self._rest = b""
        self._choices: dict[int, JsonObject] = {}
        self._reply: JsonObject = {}
        self._ended = False

    def feed(self, data: bytes) -> None:
        """Take more of the body; raises BrokenStreamError for an event that is no JSON object."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._line(line.strip())

    def whole(self) -> bytes:
        """Return the answer as it would have come without a stream; raises BrokenStreamError when it has no end."""
        self._line(self._rest.strip())
        if not self._ended:
            raise BrokenStreamError("the stream ended before its end mark")
        choices = [self._choices[index] for index in sorted(self._choices)]
        return json.dumps({**self._reply, "choices": choices}).encode()

    def _line(self, line: bytes) -> None:
        if not line.startswith(b"data:"):
            return
        text = line[5:].strip().decode("utf-8", errors="replace")
        if text == DONE:
            self._ended = True
            return
        try:
            event = json.loads(text)
        except ValueError:
            raise BrokenStreamError(f"an event is no JSON: {text[:200]}") from None
        if not isinstance(event, dict):
            raise BrokenStreamError(f"an event is no JSON object: {text[:200]}")
        self._reply |= {name: value for name, value in event.items() if name != "choices" and value is not None}
        for piece in event.get("choices") or []:
            if isinstance(piece, dict):
                self._add(piece)

    def _add(self, piece: JsonObject) -> None:
        choice = self._choices.setdefault(int(piece.get("index") or 0), {"index": int(piece.get("index") or 0)})
        for name, value in piece.items():
            if name == "delta" and isinstance(value, dict):
                _merge(choice.setdefault("message", {"role": "assistant", "content": None}), value)
            elif name == "text":
                choice["text"] = choice.get("text", "") + (value or "")
            elif value is not None:
                choice[name] = value


def _merge(message: JsonObject, delta: JsonObject) -> None:
    """Add a piece of a message: texts are appended, tool calls by their index, everything else is set."""
    for name, value in delta.items():
        if name == "tool_calls" and isinstance(value, list):
            _merge_calls(message.setdefault("tool_calls", []), value)
        elif isinstance(value, str) and name != "role":
            message[name] = (message.get(name) or "") + value
        elif value is not None:
            message[name] = value


def _merge_calls(calls: list[JsonObject], pieces: list[Any]) -> None:
    for piece in pieces:
        if not isinstance(piece, dict):
            continue
        index = int(piece.get("index") or 0)
        while len(calls) <= index:
            calls.append({"type": "function", "function": {"name": "", "arguments": ""}})
        function = piece.get("function")
        for name, value in (function if isinstance(function, dict) else {}).items():
            calls[index]["function"][name] = calls[index]["function"].get(name, "") + (value or "")
        calls[index] |= {name: value for name, value in piece.items() if name not in ("function", "index") and value}


def events(reply: JsonObject) -> Iterator[bytes]:
    """Yield a whole answer as a stream: one event with everything, one that ends each choice, usage, the end mark."""
    kept = ("id", "created", "model", "system_fingerprint")
    shared: JsonObject = {name: value for name, value in reply.items() if name in kept}
    chat = any("message" in choice for choice in reply["choices"])
    shared["object"] = "chat.completion.chunk" if chat else "text_completion"
    for choice in reply["choices"]:
        piece: JsonObject = {name: value for name, value in choice.items() if name not in ("message", "finish_reason")}
        if "message" in choice:
            piece["delta"] = _delta(choice["message"])
        yield _event(shared | {"choices": [piece | {"finish_reason": None}]})
        end: JsonObject = {"index": choice.get("index", 0), "finish_reason": choice.get("finish_reason")}
        end["delta" if chat else "text"] = {} if chat else ""
        yield _event(shared | {"choices": [end]})
    if reply.get("usage"):
        yield _event(shared | {"choices": [], "usage": reply["usage"]})
    yield f"data: {DONE}\n\n".encode()


def _delta(message: JsonObject) -> JsonObject:
    calls = message.get("tool_calls")
    if not isinstance(calls, list):
        return message
    return message | {"tool_calls": [{"index": number, **call} for number, call in enumerate(calls)]}


def _event(content: JsonObject) -> bytes:
    return b"data: " + json.dumps(content).encode() + b"\n\n"
