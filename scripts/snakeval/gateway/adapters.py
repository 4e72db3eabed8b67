"""What is done to requests on their way out, and to answers on their way back; the same for every harness."""

import re
from collections.abc import Mapping
from typing import Any, Literal

import msgspec
from msgspec import Struct

from snakeval.system.hashing import sha256_hex

_TEXTS = ("text", "output_text")
# Two names of one limit: an endpoint that wants the one refuses the other.
LIMITS = ("max_tokens", "max_completion_tokens")
JsonObject = dict[str, Any]
_VARIABLE = re.compile(r"[A-Z_][A-Z0-9_]+")


class Adapters(Struct, frozen=True, kw_only=True):
    """The settings of all steps; a step whose setting is empty does nothing.

    Attributes:
        system_prompt: Text of the system message.
        system_prompt_place: What happens with a system message that the harness sends.
        add: Parameters that are set, whatever the harness sends.
        remove: Parameters that are left out.
        rename: Names that the harness uses -> names that the endpoint wants.
        headers: Headers that are set; a value that is the name of a variable stands for what the variable holds.
        query: Parameters of the URL.
        key_header: Where the endpoint looks for its key; `Authorization` takes `Bearer KEY`, others the key alone.
        streaming: The endpoint answers in streams alone.
        no_system_role: The endpoint has no system role: the text goes before the first message of the user.
        reasoning: Take reasoning out of the text.
        reasoning_begin, reasoning_end: Marks around it.
    """

    system_prompt: str | None = None
    system_prompt_place: Literal["replace", "before", "after"] = "replace"
    add: JsonObject = {}
    remove: tuple[str, ...] = ()
    rename: dict[str, str] = {}
    headers: dict[str, str] = {}
    query: dict[str, str] = {}
    key_header: str = "Authorization"
    streaming: bool = False
    no_system_role: bool = False
    reasoning: bool = False
    reasoning_begin: str = "<think>"
    reasoning_end: str = "</think>"

    @property
    def hash(self) -> str:
        """What a journal is valid for, beside the deployment: headers may hold keys, and change no answer."""
        told = msgspec.structs.replace(self, headers={}, key_header="")
        return sha256_hex(msgspec.json.encode(told, order="sorted"), 16)

    def key_headers(self, key: str | None) -> dict[str, str]:
        """Return the header that holds the endpoint's key."""
        if not key:
            return {}
        return {self.key_header: f"Bearer {key}" if self.key_header.lower() == "authorization" else key}

    def own_headers(self, key: str | None, environ: Mapping[str, str]) -> dict[str, str]:
        """Return the headers of every request: the endpoint's key, and those that are set, which win.

        Args:
            key: The endpoint's.
            environ: The variables: settings are a file, in which no key shall stand.
        """
        given = {
            name: environ.get(value, value) if _VARIABLE.fullmatch(value) else value
            for name, value in self.headers.items()
        }
        names = {name.lower() for name in given}
        return {name: value for name, value in self.key_headers(key).items() if name.lower() not in names} | given

    def outgoing(self, body: JsonObject) -> JsonObject:
        """Return the body that the endpoint gets, in the order system prompt, rename, remove, add."""
        sent = dict(body)
        if isinstance(sent.get("messages"), list):
            sent["messages"] = self._messages(sent["messages"])
        for old, new in self.rename.items():
            if old in sent:
                sent[new] = sent.pop(old)
        for name in self.remove:
            sent.pop(name, None)
        for name in LIMITS:
            if name in self.add:
                # Set under one name, the harness's own limit must not stand beside it under the other.
                for other in LIMITS:
                    sent.pop(other, None)
        sent |= self.add
        # A stream for the harness is made here, of an answer that is whole.
        sent.pop("stream", None)
        sent.pop("stream_options", None)
        if self.streaming:
            sent |= {"stream": True, "stream_options": {"include_usage": True}}
        return sent

    def incoming(self, reply: JsonObject) -> JsonObject:
        """Return the answer that the harness gets: choices by index, parts joined, reasoning beside the text."""
        choices = [self._choice(choice) for choice in reply["choices"]]
        return {**reply, "choices": sorted(choices, key=lambda choice: choice.get("index") or 0)}

    def _messages(self, messages: list[JsonObject]) -> list[JsonObject]:
        own = [message for message in messages if message.get("role") in ("system", "developer")]
        rest = [message for message in messages if message not in own]
        if self.system_prompt is not None:
            texts = [str(message.get("content") or "") for message in own]
            texts = {
                "replace": [self.system_prompt],
                "before": [self.system_prompt, *texts],
                "after": [*texts, self.system_prompt],
            }[self.system_prompt_place]
            own = [{"role": "system", "content": "\n".join(texts)}]
        if not self.no_system_role or not own:
            return [*own, *rest] if self.system_prompt is not None else messages
        text = "\n".join(str(message.get("content") or "") for message in own)
        return _before_first_user(text, rest)

    def _choice(self, choice: JsonObject) -> JsonObject:
        message = choice.get("message")
        if not isinstance(message, dict):
            if self.reasoning and isinstance(choice.get("text"), str):
                return {**choice, "text": self.split_reasoning(choice["text"])[1]}
            return choice
        message = {**message, "content": _joined(message.get("content"))}
        if self.reasoning and isinstance(message["content"], str):
            thought, text = self.split_reasoning(message["content"])
            beside = message.get("reasoning_content") or message.get("reasoning")
            message["content"] = text
            if thought and not beside:
                message["reasoning_content"] = thought
        return {**choice, "message": message}

    def split_reasoning(self, text: str) -> tuple[str, str]:
        """Return reasoning and text.

        Reasoning that is never closed is all reasoning. An end mark without a begin mark ends reasoning too, because
        chat templates often write the begin mark into the prompt.
        """
        thoughts: list[str] = []
        if self.reasoning_begin not in text and self.reasoning_end in text:
            thought, _, text = text.rpartition(self.reasoning_end)
            thoughts.append(thought)
        else:
            while self.reasoning_begin in text:
                before, _, after = text.partition(self.reasoning_begin)
                thought, _, rest = after.partition(self.reasoning_end)
                thoughts.append(thought)
                text = before + rest
        return "\n".join(thoughts).strip(), text.strip() if thoughts else text


def _before_first_user(text: str, messages: list[JsonObject]) -> list[JsonObject]:
    for number, message in enumerate(messages):
        if message.get("role") == "user":
            content = message.get("content")
            if isinstance(content, list):
                joined: Any = [{"type": "text", "text": text}, *content]
            else:
                joined = f"{text}\n\n{content or ''}"
            return [*messages[:number], {**message, "content": joined}, *messages[number + 1 :]]
    return [{"role": "user", "content": text}, *messages]


def _joined(content: Any) -> Any:
    """Return the text of a content in parts, where it has text parts; harnesses expect a text."""
    if not isinstance(content, list):
        return content
    texts = [part.get("text") or "" for part in content if isinstance(part, dict) and part.get("type") in _TEXTS]
    return "".join(texts)
