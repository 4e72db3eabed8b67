"""Entry: `python -P -m snakeval_runners.inspect request.json` in Inspect's environment.

Ends with 0 and outcome.json, or with 1 and error.json (never both), or with 143 after SIGTERM.
"""

import os
import signal
import sys
import traceback
from pathlib import Path
from types import FrameType

from ..shared.failures import RunnerError
from ..shared.outcome import write_failure
from ..shared.request import read_request
from .request import InspectRequest


def main(arguments: list[str]) -> int:
    """Run the request in the file named by the only argument; returns the exit status."""
    signal.signal(signal.SIGTERM, _end_at_once)
    request = read_request(Path(arguments[0]), InspectRequest)
    for path in (request.outcome_path, request.error_path, request.samples_path):
        path.unlink(missing_ok=True)
    # Inspect takes options from these, and a user's own would change the task in silence.
    for name in [name for name in os.environ if name.startswith("INSPECT_EVAL_")]:
        del os.environ[name]
    try:
        from .evaluation import evaluate

        evaluate(request)
    except Exception as error:
        if not isinstance(error, RunnerError):
            traceback.print_exc()
            text = " ".join(str(error).split())[:500]
            error = RunnerError("harness", f"Inspect failed on task {request.task}: {type(error).__name__}: {text}")
        write_failure(request.error_path, error.record)
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _end_at_once(number: int, frame: FrameType | None) -> None:
    """Every answer is in the journal already; waiting for those in flight would only delay the end."""
    os._exit(128 + number)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
