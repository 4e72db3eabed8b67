"""The request file that tells the runner what to do."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ..shared.request import Request


@dataclass(frozen=True)
class Generation:
    """Sampling by Inspect's names; None leaves the task's own."""

    temperature: float | None
    top_p: float | None
    max_tokens: int | None
    stop_seqs: list[str] | None
    seed: int | None
    system_message: str | None


@dataclass(frozen=True)
class InspectRequest(Request):
    """The contents of request.json.

    Attributes:
        task: What the user calls the task.
        repeats: Epochs; 1 leaves their number to the task.
        spec: What Inspect calls it: `FILE.py@NAME` or `PACKAGE/NAME`.
        task_args: Arguments of the task's function.
        base_url: The gateway, up to and with /v1; its token is in the environment.
        log_dir: Folder of Inspect's own log.
        cache_dir: Folder of answers that the task itself has Inspect remember; emptied before each attempt.
        data_cache: Where datasets are kept that are this task's alone, None for Inspect's usual place.
    """

    spec: str
    task_args: Mapping[str, object]
    model: str
    base_url: str
    generation: Generation
    log_dir: Path
    cache_dir: Path
    data_cache: str | None
