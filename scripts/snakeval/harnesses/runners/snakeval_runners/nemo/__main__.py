"""Entry: `python -P -m snakeval_runners.nemo request.json` in the environment of one of NVIDIA's harnesses.

Ends with 0 and outcome.json, or with 1 and error.json (never both).
"""

import shutil
import sys
from functools import partial
from pathlib import Path

from ..shared.entry import run
from ..shared.failures import RunnerError
from ..shared.request import read_request
from .process import end_leftovers
from .request import NemoRequest


def main(arguments: list[str]) -> int:
    """Run the request in the file named by the only argument; returns the exit status."""
    request = read_request(Path(arguments[0]), NemoRequest)
    end_leftovers()
    # What an earlier attempt has written would be taken for this one's.
    shutil.rmtree(request.output_path, ignore_errors=True)
    return run(request, partial(_evaluate, request), partial(_explain, request))


def _evaluate(request: NemoRequest) -> None:
    from .evaluation import evaluate

    evaluate(request)


def _explain(request: NemoRequest, error: Exception) -> RunnerError:
    return RunnerError("harness", f"{request.task} failed: {type(error).__name__}: {error}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
