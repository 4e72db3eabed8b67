"""Harness `lm-eval`: lm-evaluation-harness, one process per task, through runners/lm_eval_runner in its environment."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from snakeval.config.model import Config, Task
from snakeval.errors import EndpointError, HarnessError, SnakevalError
from snakeval.files import read_json, write_json
from snakeval.harnesses import Endpoint, HarnessCommand, Outcome, Progress
from snakeval.harnesses.outcome import describe_status, read_outcome, read_progress, read_samples

# A folder of its own: on sys.path, this file's folder would hide the package lm_eval behind this module.
RUNNERS = Path(__file__).resolve().parent / "runners"
SEED = 1234
PARALLELISM = 8
REQUEST_TIMEOUT_S = 300
MAX_RETRIES = 5


class LmEvalHarness:
    """Calls lm-eval; answers so far are kept in requests.jsonl of the work folder, so that a retry resumes."""

    def command(self, task: Task, endpoint: Endpoint, work_dir: Path, python: Path, config: Config) -> HarnessCommand:
        """Write request.json and return the command; see `Harness.command`."""
        work_dir = work_dir.resolve()
        work_dir.mkdir(parents=True, exist_ok=True)
        for name in ("outcome.json", "error.json", "samples.jsonl", "progress.json"):
            (work_dir / name).unlink(missing_ok=True)
        request = work_dir / "request.json"
        write_json(request, build_request(task, endpoint, work_dir, config))
        # A user's own OPENAI_API_KEY must not reach somebody else's endpoint, so the variable is always set.
        env = {"OPENAI_API_KEY": endpoint.api_key or "", "PYTHONPATH": str(RUNNERS), "TOKENIZERS_PARALLELISM": "false"}
        argv = [str(python), "-P", "-m", "lm_eval_runner", str(request)]
        return HarnessCommand(argv, env, config.data_dir.absolute() if config.data_dir else work_dir)

    def progress(self, work_dir: Path) -> Progress | None:
        """Return answered and expected requests over all repeats."""
        return read_progress(work_dir / "progress.json")

    def failure(self, work_dir: Path, returncode: int) -> SnakevalError:
        """Return the error in error.json, or one about the exit status."""
        error = read_json(work_dir / "error.json")
        if isinstance(error, dict) and isinstance(error.get("message"), str):
            kind = EndpointError if error.get("kind") == "endpoint" else HarnessError
            return kind(error["message"])
        return HarnessError(f"lm-eval {describe_status(returncode)} and left no error.json; its log says more")

    def outcome(self, work_dir: Path) -> Outcome:
        """Return the validated content of outcome.json."""
        return read_outcome(work_dir / "outcome.json")

    def samples(self, work_dir: Path) -> Iterator[dict[str, Any]]:
        """Yield one object per document and repeat."""
        return read_samples(work_dir / "samples.jsonl")


def build_request(task: Task, endpoint: Endpoint, work_dir: Path, config: Config) -> dict[str, Any]:
    """Return the content of request.json; the API key is not in it.

    A task with a definition is looked up in the task folders alone: reading all that lm-eval ships takes 7 s.
    """
    settings = {name: value for name, value in task.settings.items() if value is not None}
    names = {"temperature": "temperature", "top_p": "top_p", "max_tokens": "max_new_tokens", "stop": "stop"}
    own = task.definition is not None
    return {
        "task": task.task,
        "include_paths": [str(folder.absolute()) for folder in config.task_dirs] if own else [],
        "include_defaults": not own,
        "protocol": task.protocol.value,
        "model": endpoint.model,
        "base_url": endpoint.base_url,
        "tokenizer": _tokenizer(settings.get("tokenizer")),
        "limit": task.limit,
        "repeats": task.repeats,
        "seed": settings.get("seed", SEED),
        "num_fewshot": settings.get("num_fewshot"),
        "system_prompt": settings.get("system_prompt"),
        "generation": {ours: settings.get(theirs) for ours, theirs in names.items()},
        "parallelism": settings.get("parallelism", PARALLELISM),
        "request_timeout_s": settings.get("request_timeout_s", REQUEST_TIMEOUT_S),
        "max_retries": settings.get("max_retries", MAX_RETRIES),
        "cache_path": str(work_dir / "requests.jsonl"),
        "outcome_path": str(work_dir / "outcome.json"),
        "samples_path": str(work_dir / "samples.jsonl"),
        "progress_path": str(work_dir / "progress.json"),
        "error_path": str(work_dir / "error.json"),
        "harness_output_path": str(work_dir / "lm_eval"),
    }


def _tokenizer(tokenizer: str | None) -> str | None:
    """The harness runs in another folder, so a path becomes absolute; a hub id stays."""
    if tokenizer is None or not Path(tokenizer).exists():
        return tokenizer
    return str(Path(tokenizer).absolute())
