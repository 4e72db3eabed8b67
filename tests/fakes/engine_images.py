"""What stand-in images of NIM generation 2 and TensorRT-LLM run: their interfaces, with `openai_server` as engine.

Usage: python engine_images.py nim-serve|trtllm-serve|mpirun [WORD ...], by the scripts of these names.

`nim-serve` (NVIDIA's pages "Architecture", "Advanced Configuration" and "Environment Variables" of NIM LLM 2): a proxy
listens at once and says that the model is not loaded yet; options go before variables; one process ends with the other.
Variables of generation 1 mean nothing to it. `trtllm-serve` (tensorrt_llm/commands/serve.py and
serve/openai_server.py, 1.2): binds its port first and listens when the model is loaded; serves the folder's name,
whatever model is asked for; refuses keys of a request that it does not know; has no option for the name.
"""

import argparse
import http.client
import json
import os
import socket
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NoReturn

sys.path.insert(0, str(Path(__file__).parent))

from openai_server import FakeOpenAIServer

NIM_CACHE = Path("/opt/nim/.cache")
EXPOSED = ("/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/v1/models", "/v1/metrics")
TRTLLM_OPTIONS = ("--host", "--port", "--backend", "--revision", "--max_batch_size", "--max_seq_len")
TRTLLM_KEYS = {"model", "messages", "prompt", "max_tokens", "max_completion_tokens", "temperature", "top_p", "top_k"}
TRTLLM_KEYS |= {"stop", "seed", "n", "stream", "logprobs", "top_logprobs", "echo", "user", "response_format"}


class Proxy(BaseHTTPRequestHandler):
    """NIM's proxy: health of its own, what is exposed from the engine, 404 for all else."""

    protocol_version = "HTTP/1.1"
    engine: FakeOpenAIServer | None = None
    asked = threading.Event()

    def log_message(self, *_: object) -> None:
        """Stay silent."""

    def do_GET(self) -> None:
        """Answer."""
        if self.path == "/v1/health/live":
            self.answer(200, b"{}")
        elif self.path == "/v1/health/ready":
            self.answer(200 if self.engine else 503, b"{}")
            Proxy.asked.set()
        else:
            self.hand_on(None)

    def do_POST(self) -> None:
        """Hand on."""
        self.hand_on(self.rfile.read(int(self.headers.get("Content-Length", "0"))))

    def hand_on(self, body: bytes | None) -> None:
        """Ask the engine."""
        if self.path not in EXPOSED:
            self.answer(404, b"{}")
        elif self.engine is None:
            self.answer(503, b"{}")
        else:
            connection = http.client.HTTPConnection("127.0.0.1", self.engine.port, timeout=60)
            connection.request(self.command, self.path, body)
            response = connection.getresponse()
            self.answer(response.status, response.read())

    def answer(self, status: int, body: bytes) -> None:
        """Send."""
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def nim_serve(words: list[str]) -> None:
    """Start the proxy, then the engine; the model counts as loaded once somebody was told that it is not."""
    environ = os.environ
    proxy = ThreadingHTTPServer(("0.0.0.0", int(environ.get("NIM_SERVER_PORT", "8000"))), Proxy)
    threading.Thread(target=proxy.serve_forever, daemon=True).start()
    source = environ.get("NIM_MODEL_PATH")
    if source is None and not environ.get("NGC_API_KEY"):
        sys.exit("NGC_API_KEY is not set: the model cannot be downloaded")
    if source and not source.startswith("hf://") and not Path(source, "config.json").is_file():
        sys.exit(f"{source} holds no model: config.json is missing")
    parser = argparse.ArgumentParser(prog="vllm serve", allow_abbrev=False)
    parser.add_argument("--served-model-name", default=environ.get("NIM_SERVED_MODEL_NAME", source or "meta/own"))
    parser.add_argument("--max-model-len", type=int, default=environ.get("NIM_MAX_MODEL_LEN"))
    parser.add_argument("--tensor-parallel-size", type=int, default=environ.get("NIM_TENSOR_PARALLEL_SIZE"))
    parser.add_argument("--enable-prefix-caching", action=argparse.BooleanOptionalAction)
    given = parser.parse_args(words)
    told = {**vars(given), "source": source, "profile": environ.get("NIM_MODEL_PROFILE")}
    (NIM_CACHE / "told.json").write_text(json.dumps(told), encoding="utf-8")
    Proxy.asked.wait()
    with FakeOpenAIServer(given.served_model_name) as engine:
        Proxy.engine = engine
        threading.Event().wait()


class Click(argparse.ArgumentParser):
    """Refuses as click does, which trtllm-serve uses."""

    def error(self, message: str) -> NoReturn:
        """End with click's words and status."""
        kind, _, words = message.partition(": ")
        said = f"No such option: {words.split('=')[0]}" if kind == "unrecognized arguments" else message
        print(f"Usage: trtllm-serve serve [OPTIONS] MODEL\n\nError: {said}", file=sys.stderr)
        sys.exit(2)


class TensorRTServer(FakeOpenAIServer):
    """Serves one model, whatever is asked for, and knows its keys."""

    def record(self, payload: dict[str, Any]) -> int:
        """Note a request; one with unknown keys is refused."""
        unknown = sorted(set(payload) - TRTLLM_KEYS)
        self.faults = ("status:400",) if unknown else ()
        payload["model"] = self.model
        return int(super().record(payload))


def trtllm_serve(words: list[str]) -> None:
    """Bind, load, listen."""
    parser = Click(allow_abbrev=False)
    parser.add_argument("model")
    for option in TRTLLM_OPTIONS:
        parser.add_argument(option)
    parser.add_argument("--tensor_parallel_size", "--tp_size", type=int, default=1)
    parser.add_argument("--pipeline_parallel_size", "--pp_size", type=int, default=1)
    parser.add_argument("--trust_remote_code", action="store_true")
    given = parser.parse_args(words[words[:1] == ["serve"] :])
    address = (given.host or "localhost", int(given.port or 8000))
    with socket.socket() as bound:
        try:
            bound.bind(address)
        except OSError as error:
            raise RuntimeError(f"Failed to bind socket to {address[0]}:{address[1]}: {error}") from None
        if given.model.startswith("/") and not Path(given.model, "config.json").is_file():
            raise RuntimeError(f"{given.model} is not a checkpoint: config.json is missing")
    folder = Path(given.model)
    if told := os.environ.get("STAND_IN_TOLD"):
        Path(told).write_text(json.dumps(vars(given)), encoding="utf-8")
    with TensorRTServer(folder.name if folder.is_dir() else given.model, address[1]):
        threading.Event().wait()


def mpirun(words: list[str]) -> None:
    """Run one rank as a child, as Open MPI does, and say how it ended."""
    while words and words[0].startswith("-"):
        option = words.pop(0)
        if option not in ("--allow-run-as-root", "--oversubscribe", "-n"):
            sys.exit(f"mpirun: Error: unknown option {option!r}")
        if option == "-n" and words.pop(0) != "1":
            sys.exit("mpirun: this stand-in has one slot")
    status = subprocess.run(words, check=False, env=os.environ | {"OMPI_COMM_WORLD_SIZE": "1"}).returncode
    if status:
        print(f"mpirun detected that one or more processes exited with non-zero status\n  Exit code:    {status}")
    sys.exit(status)


if __name__ == "__main__":
    {"nim-serve": nim_serve, "trtllm-serve": trtllm_serve, "mpirun": mpirun}[sys.argv[1]](sys.argv[2:])
