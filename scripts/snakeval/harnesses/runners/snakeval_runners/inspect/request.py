"""The request file that tells the runner what to do."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PATHS = ("journal_path", "outcome_path", "samples_path", "progress_path", "error_path", "log_dir")


@dataclass(frozen=True)
class RunRequest:
    """The contents of request.json; the API key is not among them.

    Attributes:
        task: What the user calls the task.
        spec: What Inspect calls it: `FILE.py@NAME` or `PACKAGE/NAME`.
        task_args: Arguments of the task's function.
        base_url: The endpoint, up to and with /v1.
        limit: Number of samples, None for all.
        repeats: Epochs; 1 leaves their number to the task.
        data_cache: Where datasets are kept that are this task's alone, None for Inspect's usual place.
        generation: Inspect's names of sampling settings; None leaves the task's own.
    """

    task: str
    spec: str
    task_args: dict[str, Any]
    model: str
    base_url: str
    limit: int | None
    repeats: int
    generation: dict[str, Any]
    parallelism: int
    request_timeout_s: float
    max_retries: int
    journal_path: Path
    outcome_path: Path
    samples_path: Path
    progress_path: Path
    error_path: Path
    log_dir: Path
    data_cache: str | None = None


def read_request(path: Path) -> RunRequest:
    """Read request.json; paths in it become absolute, Inspect works in the folder of the task."""
    content = json.loads(path.read_text(encoding="utf-8"))
    for name in PATHS:
        content[name] = Path(content[name]).resolve()
    return RunRequest(**content)
