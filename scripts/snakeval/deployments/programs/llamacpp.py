"""llama.cpp's own OpenAI-compatible HTTP server, in this process, by way of xllamacpp.

Runs in the llamacpp environment; needs nothing but xllamacpp. The API key comes by the environment variable
SNAKEVAL_API_KEY and never by an argument. Ends by itself on SIGTERM.
"""

import argparse
import importlib.util
import os
import signal
import sys
import time
from pathlib import Path

LAST_WORDS_S = 1.0


def find_checkpoint(reference: str) -> Path:
    """Return the GGUF that `reference` names: a path, or "package:PACKAGE/FILE", a file inside an installed package.

    The package is located, not imported: importing it may need dependencies that are not installed.

    Raises:
        SystemExit: there is no such package or file; the message says which.
    """
    if not reference.startswith("package:"):
        path = Path(reference)
    else:
        package, _, name = reference.removeprefix("package:").partition("/")
        spec = importlib.util.find_spec(package)
        if spec is None or not spec.submodule_search_locations:
            sys.exit(f"error: package {package} is not installed in the environment {sys.prefix}")
        path = Path(spec.submodule_search_locations[0]) / name
    if not path.is_file():
        sys.exit(f"error: checkpoint {path} does not exist")
    return path


def main() -> None:
    """Serve until a signal asks to end."""
    parser = argparse.ArgumentParser(description="Serve a GGUF checkpoint by llama.cpp.")
    parser.add_argument("--checkpoint", required=True)
    parser.add_argument("--served-model-name", required=True)
    parser.add_argument("--host", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--max-model-len", type=int, required=True, help="tokens of one sequence, prompt and answer")
    parser.add_argument("--max-num-seqs", type=int, required=True, help="sequences at the same time")
    parser.add_argument("--no-cache-prompt", action="store_true", help="compute every prompt from its beginning")
    parser.add_argument("--threads", type=int, help="CPU threads; all cores when left out")
    parser.add_argument("--chat-template", type=Path, help="file with a Jinja chat template instead of the model's own")
    given = parser.parse_args()
    checkpoint = find_checkpoint(given.checkpoint)
    print(f"loading {checkpoint}", flush=True)

    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = str(checkpoint)
    params.model_alias = {given.served_model_name}
    params.hostnames = [given.host]
    params.port = given.port
    params.n_ctx = given.max_model_len * given.max_num_seqs
    params.n_parallel = given.max_num_seqs
    params.cache_prompt = not given.no_cache_prompt
    if given.no_cache_prompt:
        params.cache_ram_mib = 0
    params.cpuparams.n_threads = given.threads or os.cpu_count() or 1
    params.endpoint_metrics = True
    if given.chat_template is not None:
        params.chat_template = given.chat_template.read_text(encoding="utf-8")
    if os.environ.get("SNAKEVAL_API_KEY"):
        params.api_keys = [os.environ["SNAKEVAL_API_KEY"]]
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
    try:
        server = xllamacpp.Server(params)
    except RuntimeError as error:
        # llama.cpp tells the cause in a thread of its own, which the end of the process would cut off.
        time.sleep(LAST_WORDS_S)
        sys.exit(f"error: llama.cpp cannot serve {checkpoint} on port {given.port}: {error}")
    print(f"xllamacpp {xllamacpp.__version__} serves {given.served_model_name}", flush=True)
    signal.sigwait({signal.SIGTERM, signal.SIGINT})
    del server


if __name__ == "__main__":
    main()
