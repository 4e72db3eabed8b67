"""Harnesses `inspect` and `inspect_evals`: tasks of Inspect, through runners/inspect_runner in their environment."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from snakeval.config.model import Config, Task
from snakeval.errors import EndpointError, HarnessError, SnakevalError
from snakeval.files import read_json, write_json
from snakeval.harnesses import Endpoint, HarnessCommand, Outcome, Progress
from snakeval.harnesses.outcome import describe_status, read_outcome, read_progress, read_samples

RUNNERS = Path(__file__).resolve().parent / "runners"
# Inspect's names of our settings.
GENERATION = {
    "temperature": "temperature",
    "top_p": "top_p",
    "max_tokens": "max_new_tokens",
    "stop_seqs": "stop",
    "seed": "seed",
    "system_message": "system_prompt",
}


class InspectHarness:
    """Calls Inspect; answers so far are kept in requests.jsonl of the work folder, so that a retry resumes."""

    def command(self, task: Task, endpoint: Endpoint, work_dir: Path, python: Path, config: Config) -> HarnessCommand:
        """Write request.json and return the command; see `Harness.command`."""
        work_dir = work_dir.resolve()
        work_dir.mkdir(parents=True, exist_ok=True)
        for name in ("outcome.json", "error.json", "samples.jsonl", "progress.json"):
            (work_dir / name).unlink(missing_ok=True)
        request = work_dir / "request.json"
        write_json(request, build_request(task, endpoint, work_dir))
        env = {
            "SNAKEVAL_ENDPOINT_KEY": endpoint.api_key or "",
            "PYTHONPATH": str(RUNNERS),
            "INSPECT_DISABLE_UPDATE_CHECK": "1",
        }
        if config.data_dir:
            env["SNAKEVAL_DATA_DIR"] = str(config.data_dir.absolute())
        argv = [str(python), "-P", "-m", "inspect_runner", str(request)]
        return HarnessCommand(argv, env, config.data_dir.absolute() if config.data_dir else work_dir)

    def progress(self, work_dir: Path) -> Progress | None:
        """Return finished and expected samples over all repeats."""
        return read_progress(work_dir / "progress.json")

    def failure(self, work_dir: Path, returncode: int) -> SnakevalError:
        """Return the error in error.json, or one about the exit status."""
        error = read_json(work_dir / "error.json")
        if isinstance(error, dict) and isinstance(error.get("message"), str):
            kind = EndpointError if error.get("kind") == "endpoint" else HarnessError
            return kind(error["message"])
        return HarnessError(f"Inspect {describe_status(returncode)} and left no error.json; its log says more")

    def outcome(self, work_dir: Path) -> Outcome:
        """Return the validated content of outcome.json."""
        return read_outcome(work_dir / "outcome.json")

    def samples(self, work_dir: Path) -> Iterator[dict[str, Any]]:
        """Yield one object per sample and repeat."""
        return read_samples(work_dir / "samples.jsonl")


def build_request(task: Task, endpoint: Endpoint, work_dir: Path) -> dict[str, Any]:
    """Return the content of request.json; the API key is not in it."""
    settings = task.settings
    return {
        "task": task.task,
        "spec": f"{task.definition.absolute()}@{task.task}" if task.definition else f"inspect_evals/{task.task}",
        "task_args": dict(settings.get("extra") or {}),
        "model": endpoint.model,
        "base_url": endpoint.base_url,
        "limit": task.limit,
        "repeats": task.repeats,
        "generation": {theirs: settings.get(ours) for theirs, ours in GENERATION.items()},
        "parallelism": settings["parallelism"],
        "request_timeout_s": settings["request_timeout_s"],
        "max_retries": settings["max_retries"],
        "journal_path": str(work_dir / "requests.jsonl"),
        "outcome_path": str(work_dir / "outcome.json"),
        "samples_path": str(work_dir / "samples.jsonl"),
        "progress_path": str(work_dir / "progress.json"),
        "error_path": str(work_dir / "error.json"),
        "log_dir": str(work_dir / "inspect"),
    }
