"""Entry: `python -P -m snakeval_runners.lm_eval request.json` in the lm-eval environment.

Ends with 0 and outcome.json, or with 1 and error.json (never both), or with 143 after SIGTERM.
"""

import os
import sys
from functools import partial
from pathlib import Path

from ..shared.entry import end_at_once_on_sigterm, run
from ..shared.failures import RunnerError
from ..shared.request import read_request
from .request import LmEvalRequest


def main(arguments: list[str]) -> int:
    """Run the request in the file named by the only argument; returns the exit status."""
    end_at_once_on_sigterm()
    request = read_request(Path(arguments[0]), LmEvalRequest)
    # tqdm reads this when it is imported; the bars would fill the log.
    os.environ.setdefault("TQDM_DISABLE", "1")
    return run(request, partial(_evaluate, request), partial(_explain, request))


def _evaluate(request: LmEvalRequest) -> None:
    from .evaluation import evaluate

    evaluate(request)


def _explain(request: LmEvalRequest, error: Exception) -> RunnerError:
    text = " ".join(str(error).split())[:500]
    module = type(error).__module__.split(".")[0]
    if isinstance(error, NotImplementedError):
        return RunnerError("harness", f"protocol {request.protocol} cannot give what {request.task} asks for: {text}")
    if isinstance(error, ModuleNotFoundError) and error.name:
        package = error.name.split(".")[0]
        return RunnerError(
            "harness", f"the lm-eval environment lacks the Python package '{package}', which {request.task} needs"
        )
    if module in ("requests", "aiohttp") or text.startswith("RemoteTokenizer:"):
        return RunnerError("endpoint", f"the endpoint {request.base_url} does not answer as it must: {text}")
    return RunnerError("harness", f"lm-eval failed on task {request.task}: {type(error).__name__}: {text}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
