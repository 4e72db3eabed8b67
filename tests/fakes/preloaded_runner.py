"""Runs requests of one runner, one after another, each in a process of its own that begins with everything imported.

Usage, with the Python of the harness's environment: python -P preloaded_runner.py RUNNER [MODULE ...]

Reads a JSON object per line (`arguments`, `env`, `cwd`, `log`) and answers each with its exit status. What a harness
imports takes seconds, what the tests ask of it a fraction of one.
"""

import importlib
import json
import os
import sys
import traceback
from typing import Any


def main(runner: str, *modules: str) -> None:
    """Import the runner with its harness, then serve."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    entry = importlib.import_module(f"{runner}.__main__")
    for module in (f"{runner}.evaluation", *modules):
        importlib.import_module(module)
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            _run(entry, json.loads(line))
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), file=answers, flush=True)


def _run(entry: Any, job: dict[str, Any]) -> None:
    """Do what the program would do, and end."""
    log = os.open(job["log"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.environ.clear()
    os.environ.update(job["env"])
    os.chdir(job["cwd"])
    try:
        status = entry.main(job["arguments"])
    except BaseException:
        traceback.print_exc()
        status = 70
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    main(*sys.argv[1:])
