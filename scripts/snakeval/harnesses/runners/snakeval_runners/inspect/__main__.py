"""Entry: `python -P -m snakeval_runners.inspect request.json` in Inspect's environment.

Ends with 0 and outcome.json, or with 1 and error.json (never both), or with 143 after SIGTERM.
"""

import os
import shutil
import sys
from functools import partial
from pathlib import Path

from ..shared.entry import end_at_once_on_sigterm, run
from ..shared.failures import RunnerError
from ..shared.request import read_request
from .request import InspectRequest


def main(arguments: list[str]) -> int:
    """Run the request in the file named by the only argument; returns the exit status."""
    end_at_once_on_sigterm()
    request = read_request(Path(arguments[0]), InspectRequest)
    # Inspect takes options from these, and a user's own would change the task in silence.
    for name in [name for name in os.environ if name.startswith("INSPECT_EVAL_")]:
        del os.environ[name]
    # In the usual place lie answers of other endpoints: Inspect knows this one by the gateway's address alone.
    shutil.rmtree(request.cache_dir, ignore_errors=True)
    os.environ["INSPECT_CACHE_DIR"] = str(request.cache_dir)
    return run(request, partial(_evaluate, request), partial(_explain, request))


def _evaluate(request: InspectRequest) -> None:
    from .evaluation import evaluate

    evaluate(request)


def _explain(request: InspectRequest, error: Exception) -> RunnerError:
    text = " ".join(str(error).split())[:500]
    return RunnerError("harness", f"Inspect failed on task {request.task}: {type(error).__name__}: {text}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
