"""The request file that tells the runner what to do."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..shared.request import Request


@dataclass(frozen=True)
class NemoRequest(Request):
    """The contents of request.json; it names the variable with the API key.

    Attributes:
        task: The task within the harness.
        limit, repeats: As they are in run_config, for the check of what came out.
        run_config: What nemo-evaluator is told, in its own terms.
        framework: Which harness, as nemo-evaluator calls it.
        package: The package that has it; an image may lack it.
        image: The image that this runs in, empty outside of one.
        journal_path: What the gateway writes of all requests of the task.
        output_path: Folder of nemo-evaluator and the harness, made anew.
    """

    run_config: dict[str, Any]
    framework: str
    package: str
    image: str
    journal_path: Path
    output_path: Path
