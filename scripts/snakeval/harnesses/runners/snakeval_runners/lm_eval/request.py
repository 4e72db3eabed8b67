"""The request file that tells the runner what to do."""

from dataclasses import dataclass
from pathlib import Path

from ..shared.request import Request


@dataclass(frozen=True)
class Generation:
    """What the request sets of a task's sampling; None leaves the task's own."""

    temperature: float | None
    top_p: float | None
    max_tokens: int | None
    stop: list[str] | None


@dataclass(frozen=True)
class LmEvalRequest(Request):
    """The contents of request.json.

    Attributes:
        task: A task, group or tag of lm-eval.
        include_paths: Folders with definitions of tasks.
        include_defaults: Whether lm-eval's own tasks are looked up too.
        protocol: "chat", "completions" or "loglikelihood".
        base_url: The endpoint, up to and with /v1.
        tokenizer: Path or hub id for log-likelihoods; None to ask the endpoint.
        harness_output_path: Folder of lm-eval's own results.
    """

    include_paths: list[str]
    include_defaults: bool
    protocol: str
    model: str
    base_url: str
    tokenizer: str | None
    seed: int
    num_fewshot: int | None
    system_prompt: str | None
    generation: Generation
    harness_output_path: Path

    @property
    def url(self) -> str:
        """Where requests go."""
        path = "chat/completions" if self.protocol == "chat" else "completions"
        return f"{self.base_url.rstrip('/')}/{path}"
