"""Entry: `python -P -m snakeval_runners.nemo request.json` in the environment of one of NVIDIA's harnesses.

Ends with 0 and outcome.json, or with 1 and error.json (never both).
"""

import shutil
import sys
import traceback
from pathlib import Path

from ..shared.failures import RunnerError
from ..shared.outcome import write_failure
from ..shared.request import read_request
from .process import end_leftovers
from .request import NemoRequest


def main(arguments: list[str]) -> int:
    """Run the request in the file named by the only argument; returns the exit status."""
    request = read_request(Path(arguments[0]), NemoRequest)
    end_leftovers()
    for path in (request.outcome_path, request.error_path, request.samples_path, request.events_path):
        path.unlink(missing_ok=True)
    # What an earlier attempt has written would be taken for this one's; its answers are kept elsewhere.
    shutil.rmtree(request.output_path, ignore_errors=True)
    try:
        from .evaluation import evaluate

        evaluate(request)
    except Exception as error:
        if not isinstance(error, RunnerError):
            traceback.print_exc()
            error = RunnerError("harness", f"{request.task} failed: {type(error).__name__}: {error}")
        write_failure(request.error_path, error.record)
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
