"""What harnesses share that run in an environment of their own, through one of the programs in runners/.

A runner reads request.json of the work folder, and leaves outcome.json, samples.jsonl and progress.json, or error.json.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

from snakeval.config.model import Config, Task
from snakeval.errors import EndpointError, HarnessError, SnakevalError
from snakeval.harnesses.base import Outcome
from snakeval.harnesses.outcome import describe_status, read_outcome, read_progress, read_samples
from snakeval.harnesses.runners.snakeval_runners.shared.outcome import read_failure
from snakeval.harnesses.runners.snakeval_runners.shared.request import Request
from snakeval.run.attempt import Progress
from snakeval.run.harness_paths import HarnessPaths
from snakeval.system.files import write_json

# A folder of its own: on sys.path, the modules beside this one would hide packages of the same name.
RUNNERS = Path(__file__).resolve().parent / "runners"
CACHE_VARIABLE = "HF_DATASETS_CACHE"


class RunnerHarness:
    """The part of `Harness` that is the same for all runners."""

    program: ClassVar[str]
    varies_seed: ClassVar[bool] = False

    def progress(self, work_dir: Path) -> Progress | None:
        """Return answered and expected requests or samples, over all repeats."""
        return read_progress(HarnessPaths(work_dir).progress)

    def failure(self, work_dir: Path, returncode: int) -> SnakevalError:
        """Return the error in error.json, or one about the exit status."""
        path, status = HarnessPaths(work_dir).error, describe_status(returncode)
        if not path.exists():
            return HarnessError(f"{self.program} {status} and left no error.json; its log says more")
        try:
            record = read_failure(json.loads(path.read_text(encoding="utf-8")))
        except (ValueError, KeyError, TypeError) as error:
            why = f"{type(error).__name__}: {error}"
            return HarnessError(f"{self.program} {status} and left a damaged {path} ({why}); its log says more")
        return EndpointError(record.message) if record.kind == "endpoint" else HarnessError(record.message)

    def outcome(self, work_dir: Path) -> Outcome:
        """Return the validated content of outcome.json."""
        return read_outcome(HarnessPaths(work_dir).outcome)

    def samples(self, work_dir: Path) -> Iterator[dict[str, Any]]:
        """Yield one object per sample and repeat."""
        return read_samples(HarnessPaths(work_dir).samples)


def empty_folder(work_dir: Path) -> Path:
    """Return the absolute work folder, without what an earlier attempt left there beside its answers."""
    files = HarnessPaths(work_dir.resolve())
    files.folder.mkdir(parents=True, exist_ok=True)
    for file in (files.outcome, files.error, files.samples, files.progress):
        file.unlink(missing_ok=True)
    return files.folder


def data_cache(task: Task, work_dir: Path, config: Config) -> dict[str, str]:
    """Return the variable that gives a task a cache of its own for data in folders, unless it chooses one itself.

    In a common cache, datasets 5 tells folders with a README apart only by their names. A task could then get the rows
    of another folder, or rows from before a change, and nobody would notice.
    """
    in_folders = config.data_dir or task.dataset_dir or task.definition
    if not in_folders or CACHE_VARIABLE in task.env_vars:
        return {}
    return {CACHE_VARIABLE: str(HarnessPaths(work_dir).data_cache)}


def runner_command(python: Path, runner: str, work_dir: Path, request: Request) -> list[str]:
    """Write request.json; return the command line of the runner that reads it."""
    path = HarnessPaths(work_dir).request
    write_json(path, request.content())
    return [str(python), "-P", "-m", runner, str(path)]
