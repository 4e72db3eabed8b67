"""What the tests of harnesses share: a task, a configuration, an endpoint."""

from pathlib import Path
from typing import Any

from snakeval.config.model import Config, Execution, Task
from snakeval.config.reading.tree import Node
from snakeval.endpoint import Endpoint, Protocol

ENDPOINT = Endpoint("http://127.0.0.1:1234/v1", "served", "top-secret")
NO_SETTINGS = dict.fromkeys(
    (
        "temperature",
        "top_p",
        "max_new_tokens",
        "stop",
        "seed",
        "num_fewshot",
        "system_prompt",
        "parallelism",
        "request_timeout_s",
        "max_retries",
        "tokenizer",
        "command",
    )
)


def a_task(
    harness: str = "lm-eval",
    definition: Path | None = None,
    protocol: Protocol = Protocol.CHAT,
    limit: int | None = None,
    repeats: int = 1,
    **settings: Any,
) -> Task:
    """Return a task with the given settings, all others None."""
    return Task("sums", harness, "sums", protocol, limit, repeats, Node(NO_SETTINGS | settings), {}, definition, "f")


def a_config(data_dir: Path | None = None, task_dirs: tuple[Path, ...] = ()) -> Config:
    """Return a configuration of which harnesses use the folders alone."""
    execution = Execution("local", Path("results"), 60, 60, 60, 0, 1, Node({}))
    return Config("run", (), execution, (), data_dir, task_dirs, Node({}))
