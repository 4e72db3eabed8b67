"""What every runner does around its evaluation."""

import os
import signal
import sys
import traceback
from collections.abc import Callable
from types import FrameType

from .failures import RunnerError
from .outcome import write_failure
from .request import Request


def run(request: Request, evaluate: Callable[[], None], explain: Callable[[Exception], RunnerError]) -> int:
    """Evaluate, and write error.json where that fails; returns the exit status.

    Args:
        request: What is asked for.
        evaluate: Writes the outcome; imports its harness, which may fail too.
        explain: Makes an error of the harness one for users.
    """
    for path in (request.outcome_path, request.error_path, request.samples_path):
        path.unlink(missing_ok=True)
    try:
        evaluate()
    except Exception as error:
        failure = error if isinstance(error, RunnerError) else explain(error)
        if failure is not error or error.__cause__ is not None:
            traceback.print_exc()
        write_failure(request.error_path, failure.record)
        print(f"error: {failure}", file=sys.stderr)
        return 1
    return 0


def end_at_once_on_sigterm() -> None:
    """Have SIGTERM end the process: every answer is kept already, and those in flight would only delay the end."""
    signal.signal(signal.SIGTERM, _end_at_once)


def _end_at_once(number: int, frame: FrameType | None) -> None:
    os._exit(128 + number)
