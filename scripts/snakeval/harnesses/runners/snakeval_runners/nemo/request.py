"""The request file that tells the runner what to do."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PATHS = ("answers_path", "outcome_path", "samples_path", "progress_path", "error_path", "output_path")


@dataclass(frozen=True)
class RunRequest:
    """The contents of request.json; the API key is not among them.

    Attributes:
        run_config: What nemo-evaluator is told, in its own terms.
        framework: Which harness, as nemo-evaluator calls it.
        package: The package that has it; an image may lack it.
        image: The image that this runs in, empty outside of one.
        task: The task within the harness.
        limit, repeats: As they are in run_config, for the check of what came out.
        parallelism: Requests under way at the same time.
        request_timeout_s: Seconds that one request may take.
        retries: Times that the adapter sends a failed request again; 0 when the harness does it.
        tries: How often the harness sends a request that fails.
        answers_path: Answers so far; stays between attempts.
        output_path: Folder of nemo-evaluator and the harness, made anew.
    """

    run_config: dict[str, Any]
    framework: str
    package: str
    image: str
    task: str
    limit: int | None
    repeats: int
    parallelism: int
    request_timeout_s: float
    retries: int
    tries: int
    answers_path: Path
    outcome_path: Path
    samples_path: Path
    progress_path: Path
    error_path: Path
    output_path: Path

    @property
    def events_path(self) -> Path:
        """What happened to the requests of this attempt."""
        return self.answers_path.with_name("events.jsonl")


def read_request(path: Path) -> RunRequest:
    """Read request.json."""
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    for name in PATHS:
        content[name] = Path(content[name])
    return RunRequest(**content)
