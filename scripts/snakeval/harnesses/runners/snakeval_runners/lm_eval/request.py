"""The request file that tells the runner what to do."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PATHS = ("cache_path", "outcome_path", "samples_path", "progress_path", "error_path", "harness_output_path")


@dataclass(frozen=True)
class RunRequest:
    """The contents of request.json; the API key is not among them.

    Attributes:
        task: A task, group or tag of lm-eval.
        protocol: "chat", "completions" or "loglikelihood".
        base_url: The endpoint, up to and with /v1.
        tokenizer: Path or hub id for log-likelihoods; None to ask the endpoint.
        generation: temperature, top_p, max_tokens, stop; None leaves the task's own.
    """

    task: str
    include_paths: list[str]
    include_defaults: bool
    protocol: str
    model: str
    base_url: str
    tokenizer: str | None
    limit: int | None
    repeats: int
    seed: int
    num_fewshot: int | None
    system_prompt: str | None
    generation: dict[str, Any]
    parallelism: int
    request_timeout_s: float
    max_retries: int
    cache_path: Path
    outcome_path: Path
    samples_path: Path
    progress_path: Path
    error_path: Path
    harness_output_path: Path

    @property
    def url(self) -> str:
        """Where requests go."""
        path = "chat/completions" if self.protocol == "chat" else "completions"
        return f"{self.base_url.rstrip('/')}/{path}"

    def generation_overrides(self) -> dict[str, Any]:
        """What the request sets of the task's generation_kwargs, in lm-eval's names."""
        names = {"temperature": "temperature", "top_p": "top_p", "max_tokens": "max_gen_toks", "stop": "until"}
        chosen = {names[key]: value for key, value in self.generation.items() if value is not None}
        if chosen.get("temperature"):
            chosen["do_sample"] = True
        return chosen


def read_request(path: Path) -> RunRequest:
    """Read request.json; paths in it become absolute, the working directory may be elsewhere."""
    content = json.loads(path.read_text(encoding="utf-8"))
    for name in PATHS:
        content[name] = Path(content[name]).resolve()
    return RunRequest(**content)
