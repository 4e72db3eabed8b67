"""A stand-in OpenAI-compatible server: deterministic answers, recorded requests, injected faults.

Usage: python openai_server.py --port 8000 --model NAME [--api-key-env VAR] [--fault FAULT ...]

Answers /health, /v1/models, /v1/chat/completions, /v1/completions (with echo and logprobs), /v1/embeddings,
/tokenizer_info, /tokenize and /detokenize. A token is a word with the white space before it, or with the
fault `letters` a letter. What it answers is a function of the request:

* A prompt with `[[answer:A|B|C]]` is answered with A at temperature 0, else with the seed-th (modulo) of the three.
* Any other prompt is answered with "answer" and a digit that depends on its text.
* A chat with tools whose prompt has `[[call:NAME ARGUMENTS]]` calls them first, one a turn.
* Of several choices (`n`), each has the seed of the one before plus one.

Faults, each of them `name` or `name:argument`: `status:500`, `status-every:503:3` (each third request),
`status-if:500:TEXT` (prompts that hold TEXT), `status-fraction:500:0.2` (that share of prompts, always the same),
`says:TEXT` (in place of the usual words of these refusals),
`null`, `null-if:TEXT`, `reasoning` (ran out of tokens while thinking), `empty-choices`, `not-json`, `slow:SECONDS`,
`drop` (closes the connection), `die-after:N` (the server goes away after N answers), `hold-after:N` (keeps later
requests waiting until `release`), `off-by-one` (token_logprobs lack the generated token), `no-echo` (logprobs as
llama.cpp's server gives them).
"""

import argparse
import json
import os
import re
import threading
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self


def tokenize(text: str) -> list[str]:
    """Split a text into words with the white space before them; joined they are the text again."""
    return re.findall(r"\s*\S+|\s+$", text)


def logprob(previous: str, token: str) -> float:
    """The log-probability of a token after another: any fixed function of both, in [-5, -1]."""
    return -1.0 - (zlib.crc32(f"{previous.strip()}\0{token.strip()}".encode()) % 4000) / 1000.0


def is_greedy(previous: str, token: str) -> bool:
    """Whether the token counts as the most probable one after another."""
    return zlib.crc32(f"{token.strip()}\0{previous.strip()}".encode()) % 2 == 0


def answer_to(prompt: str, temperature: float, seed: int) -> str:
    """What the server answers, before stop sequences and token limits."""
    told = re.findall(r"\[\[answer:(.*?)\]\]", prompt, flags=re.DOTALL)
    if told:
        options: list[str] = told[-1].split("|")
        return options[seed % len(options)] if temperature > 0 else options[0]
    return f"answer {zlib.crc32(prompt.encode()) % 10}"


@dataclass
class FakeOpenAIServer:
    """The server, as a context manager; port 0 takes a free one."""

    model: str = "fake-model"
    port: int = 0
    api_key: str | None = None
    faults: tuple[str, ...] = ()
    payloads: list[dict[str, Any]] = field(default_factory=list)
    arrivals: list[float] = field(default_factory=list)
    answered: int = 0
    dead: bool = False

    def __post_init__(self) -> None:
        self.changed = threading.Condition()
        self.released = threading.Event()
        self.vocabulary: list[str] = []
        self.ids: dict[str, int] = {}
        handler = type("Handler", (_Handler,), {"fake": self})
        self.http = _Server(("127.0.0.1", self.port), handler)
        self.port = self.http.server_address[1]

    @property
    def base_url(self) -> str:
        """What clients take as OpenAI base URL."""
        return f"http://127.0.0.1:{self.port}/v1"

    def fault(self, name: str) -> str | None:
        """The argument of an injected fault ("" without one), None when it is not injected."""
        for fault in self.faults:
            head, _, argument = fault.partition(":")
            if head == name:
                return argument
        return None

    def wait_for_requests(self, count: int, timeout_s: float = 60.0) -> None:
        """Return as soon as that many generation requests have arrived; TimeoutError when they do not."""
        with self.changed:
            if not self.changed.wait_for(lambda: len(self.payloads) >= count, timeout_s):
                raise TimeoutError(f"{len(self.payloads)} of {count} requests after {timeout_s} s")

    def record(self, payload: dict[str, Any]) -> int:
        """Note a generation request; returns its number, from 1."""
        with self.changed:
            self.payloads.append(payload)
            self.arrivals.append(time.monotonic())
            self.changed.notify_all()
            return len(self.payloads)

    def token_ids(self, text: str) -> list[int]:
        """Give every token of the text its number."""
        with self.changed:
            for token in self.tokens(text):
                if token not in self.ids:
                    self.ids[token] = len(self.vocabulary)
                    self.vocabulary.append(token)
            return [self.ids[token] for token in self.tokens(text)]

    def tokens(self, text: str) -> list[str]:
        """Split a text into its tokens."""
        return tokenize(text) if self.fault("letters") is None else list(text)

    def release(self) -> None:
        """Let the requests go that `hold-after` holds."""
        self.released.set()

    def close(self) -> None:
        """Stop listening; safe to call twice."""
        self.released.set()
        self.http.shutdown()
        self.http.server_close()

    def __enter__(self) -> Self:
        threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Keep quiet about clients that went away."""


class _Handler(BaseHTTPRequestHandler):
    fake: FakeOpenAIServer
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:
        """Keep quiet."""

    def send(self, status: int, body: Any) -> None:
        data = body.encode() if isinstance(body, str) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/plain" if isinstance(body, str) else "application/json")
        self.send_header("Content-Length", str(len(data)))
        if status == 429:
            self.send_header("Retry-After", "1")
        self.end_headers()
        self.wfile.write(data)

    def refuse(self, status: int, message: str) -> None:
        self.send(status, {"error": {"message": message, "code": status}})

    def unauthorised(self) -> bool:
        key = self.fake.api_key
        return key is not None and self.headers.get("Authorization") != f"Bearer {key}"

    def do_GET(self) -> None:
        if self.fake.dead:
            self.close_connection = True
        elif self.path in ("/health", "/v1/health/ready"):
            self.send(200, {"status": "ok"})
        elif self.path.startswith("/v1/") and self.unauthorised():
            self.refuse(401, "invalid api key")
        elif self.path == "/v1/models":
            self.send(200, {"object": "list", "data": [{"id": self.fake.model, "object": "model"}]})
        elif self.path == "/tokenizer_info":
            self.send(200, {"eos_token": "</s>", "bos_token": None, "pad_token": None})
        else:
            self.refuse(404, f"no such path: {self.path}")

    def do_POST(self) -> None:
        payload = json.loads(self.rfile.read(int(self.headers.get("Content-Length", "0"))) or b"{}")
        if self.fake.dead:
            self.close_connection = True
        elif self.path == "/tokenize":
            self.send(200, {"tokens": self.fake.token_ids(payload["prompt"])})
        elif self.path == "/detokenize":
            self.send(200, {"prompt": "".join(self.fake.vocabulary[i] for i in payload["tokens"])})
        elif self.unauthorised():
            self.refuse(401, "invalid api key")
        elif self.path not in ("/v1/chat/completions", "/v1/completions", "/v1/embeddings"):
            self.refuse(404, f"no such path: {self.path}")
        else:
            self.generate(payload)

    def generate(self, payload: dict[str, Any]) -> None:
        number = self.fake.record(payload)
        chat = self.path.endswith("/chat/completions")
        prompt = _prompt_text(payload, self.fake.vocabulary)
        if payload.get("model") != self.fake.model:
            self.refuse(404, f"the model `{payload.get('model')}` does not exist")
        elif not self.break_down(prompt, number):
            embeds = self.path.endswith("/embeddings")
            body = _embeddings(self.fake, payload) if embeds else _completion(self.fake, payload, prompt, chat)
            self.send(200, body)
            with self.fake.changed:
                self.fake.answered += 1
                self.fake.changed.notify_all()

    def break_down(self, prompt: str, number: int) -> bool:
        """Play the injected faults; True when the request has been dealt with."""
        fake = self.fake
        if (seconds := fake.fault("slow")) is not None:
            time.sleep(float(seconds))
        if (limit := fake.fault("hold-after")) is not None and number > int(limit):
            fake.released.wait()
        status = _status_of(fake, prompt, number)
        if status is not None:
            self.refuse(status, fake.fault("says") or f"injected fault: status {status}")
        elif fake.fault("not-json") is not None:
            self.send(200, "<html>this is not JSON</html>")
        elif fake.fault("drop") is not None:
            self.close_connection = True
        elif (limit := fake.fault("die-after")) is not None and number > int(limit):
            fake.dead = self.close_connection = True
            threading.Thread(target=fake.close, daemon=True).start()
        else:
            return False
        return True


def _status_of(fake: FakeOpenAIServer, prompt: str, number: int) -> int | None:
    if (argument := fake.fault("status")) is not None:
        return int(argument)
    conditions: dict[str, Callable[[str], bool]] = {
        "status-every": lambda every: number % int(every) == 0,
        "status-if": lambda text: text in prompt,
        "status-fraction": lambda share: zlib.crc32(prompt.encode()) % 1000 < float(share) * 1000,
    }
    for name, applies in conditions.items():
        status, _, argument = (fake.fault(name) or "").partition(":")
        if status and applies(argument):
            return int(status)
    return None


def _prompt_text(payload: dict[str, Any], vocabulary: list[str]) -> str:
    if "messages" in payload:
        return "\n".join(str(message["content"]) for message in payload["messages"])
    prompt = payload.get("prompt", "")
    if isinstance(prompt, list):
        prompt = prompt[0] if prompt and isinstance(prompt[0], list) else prompt
        return "".join(vocabulary[i] for i in prompt)
    return str(prompt)


def _embeddings(fake: FakeOpenAIServer, payload: dict[str, Any]) -> dict[str, Any]:
    texts = [payload["input"]] if isinstance(payload["input"], str) else payload["input"]
    entries = [{"index": index, "embedding": [logprob("", str(text)), 0.5]} for index, text in enumerate(texts)]
    data = [] if fake.fault("empty-choices") is not None else entries
    return {"id": "fake", "object": "list", "model": fake.model, "data": data, "usage": {"prompt_tokens": len(texts)}}


def _completion(fake: FakeOpenAIServer, payload: dict[str, Any], prompt: str, chat: bool) -> dict[str, Any]:
    count = 0 if fake.fault("empty-choices") is not None else int(payload.get("n") or 1)
    made = [_choice(fake, payload, prompt, chat, index) for index in range(count)]
    used = {"prompt_tokens": len(fake.tokens(prompt)), "completion_tokens": sum(words for _, words in made)}
    used["total_tokens"] = sum(used.values())
    choices = [choice for choice, _ in made]
    return {"id": "fake", "object": "completion", "model": fake.model, "choices": choices, "usage": used}


def _choice(
    fake: FakeOpenAIServer, payload: dict[str, Any], prompt: str, chat: bool, index: int
) -> tuple[dict[str, Any], int]:
    """One choice, and its number of tokens."""
    if called := _call(payload, prompt):
        message = {"role": "assistant", "content": None, "tool_calls": [called]}
        return {"index": index, "finish_reason": "tool_calls", "message": message}, 1
    text = answer_to(prompt, float(payload.get("temperature") or 0), int(payload.get("seed") or 0) + index)
    for stop in payload.get("stop") or []:
        text = text.split(stop)[0] if stop else text
    words = fake.tokens(text)
    limit = int(payload.get("max_tokens") or 256)
    finish = "length" if len(words) > limit else "stop"
    words = words[:limit]
    content: str | None = "".join(words)
    message = {"role": "assistant"}
    if fake.fault("null") is not None or (fake.fault("null-if") or "\0") in prompt:
        content, finish = None, "length"
    if fake.fault("reasoning") is not None:
        content, finish = "", "length"
        message["reasoning_content"] = "let me think about"
    choice: dict[str, Any] = {"index": index, "finish_reason": finish}
    if chat:
        choice["message"] = message | {"content": content}
    else:
        choice["text"] = (prompt + (content or "")) if payload.get("echo") else content
        if payload.get("logprobs") is not None:
            choice["logprobs"] = _logprobs(fake, prompt, words, bool(payload.get("echo")))
    return choice, len(words)


def _call(payload: dict[str, Any], prompt: str) -> dict[str, Any] | None:
    """The call of a tool that the prompt asks for next."""
    told = re.findall(r"\[\[call:(\w+) (.*?)\]\]", prompt) if payload.get("tools") else []
    done = sum(message["role"] == "tool" for message in payload.get("messages", []))
    if done >= len(told):
        return None
    name, arguments = told[done]
    return {"id": f"call_{done}", "type": "function", "function": {"name": name, "arguments": arguments}}


def _logprobs(fake: FakeOpenAIServer, prompt: str, words: list[str], echo: bool) -> dict[str, Any]:
    before = fake.tokens(prompt)
    tokens = before + words
    values: list[float | None] = []
    tops: list[dict[str, float] | None] = []
    for index, token in enumerate(tokens):
        previous = tokens[index - 1] if index else ""
        value = logprob(previous, token)
        values.append(value if index else None)
        other = value - 0.5 if is_greedy(previous, token) else value + 0.5
        tops.append({token: value, "(other)": other} if index else None)
    if fake.fault("no-echo") is not None:
        return {"content": [{"token": token, "logprob": -1.0} for token in words]}
    if not echo:
        tokens, values, tops = words, values[len(before) :], tops[len(before) :]
    if fake.fault("off-by-one") is not None:
        tokens, values, tops = tokens[:-1], values[:-1], tops[:-1]
    return {"tokens": tokens, "token_logprobs": values, "top_logprobs": tops}


def main() -> None:
    """Serve until killed."""
    parser = argparse.ArgumentParser(description="A stand-in OpenAI-compatible server")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--model", default="fake-model")
    parser.add_argument("--api-key-env", help="name of the environment variable with the key to ask for")
    parser.add_argument("--fault", action="append", default=[], help="see the head of the file; may be repeated")
    arguments = parser.parse_args()
    key = os.environ[arguments.api_key_env] if arguments.api_key_env else None
    with FakeOpenAIServer(arguments.model, arguments.port, key, tuple(arguments.fault)) as server:
        print(f"serving {server.model} on {server.base_url}", flush=True)
        while not server.dead:
            time.sleep(0.1)
    raise SystemExit(1)


if __name__ == "__main__":
    main()
