"""Harness `command`: a user's own program; docs/command-harness.md is its contract."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

from snakeval.config.model import Config, Task
from snakeval.config.reading.schema_files import load_schema
from snakeval.endpoint import Endpoint
from snakeval.errors import HarnessError, SnakevalError
from snakeval.harnesses.base import HarnessCommand, Outcome
from snakeval.harnesses.outcome import describe_status, outcome_of, read_content, read_progress, read_samples
from snakeval.run.attempt import Progress
from snakeval.run.harness_paths import HarnessPaths
from snakeval.system.checkout import SCHEMAS

SCHEMA = SCHEMAS / "command-result.schema.yaml"


class CommandHarness:
    """Calls the program that the task names; its interface is the environment and the files that it writes."""

    varies_seed: ClassVar[bool] = False

    def command(self, task: Task, endpoint: Endpoint, work_dir: Path, python: Path, config: Config) -> HarnessCommand:
        """Return the task's command; what an earlier attempt reported is removed, other files of its stay."""
        files = HarnessPaths(work_dir.resolve())
        files.folder.mkdir(parents=True, exist_ok=True)
        for file in (files.result, files.samples, files.progress):
            file.unlink(missing_ok=True)
        command = task.settings["command"]
        argv = ["bash", "-c", command] if isinstance(command, str) else [str(word) for word in command]
        return HarnessCommand(argv, build_environment(task, endpoint, files.folder, config), None)

    def progress(self, work_dir: Path) -> Progress | None:
        """Return what the program says in progress.json, if it does."""
        return read_progress(HarnessPaths(work_dir).progress)

    def failure(self, work_dir: Path, returncode: int) -> SnakevalError:
        """Return an error about the exit status; the program's own words are in the log."""
        return HarnessError(f"the command {describe_status(returncode)}; its log says more")

    def outcome(self, work_dir: Path) -> Outcome:
        """Return the content of result.json, validated by schemas/command-result.schema.yaml."""
        import jsonschema

        path = HarnessPaths(work_dir).result
        content = read_content(path)
        errors = list(jsonschema.Draft202012Validator(load_schema(SCHEMA).node).iter_errors(content))
        if errors:
            complaints = "; ".join(f"{error.json_path}: {error.message[:200]}" for error in errors[:5])
            raise HarnessError(f"{path} is not what docs/command-harness.md asks for: {complaints}")
        return outcome_of(content, path)

    def samples(self, work_dir: Path) -> Iterator[dict[str, Any]]:
        """Yield the objects of samples.jsonl, if the program wrote one."""
        return read_samples(HarnessPaths(work_dir).samples)


def build_environment(task: Task, endpoint: Endpoint, work_dir: Path, config: Config) -> dict[str, str]:
    """Return the SNAKEVAL_ variables of a command; what is null in the configuration is not among them."""
    sampling, traffic = task.sampling, task.traffic
    values: dict[str, object] = {
        "BASE_URL": endpoint.base_url,
        "API_KEY": endpoint.api_key,
        "MODEL": endpoint.model,
        "PROTOCOL": task.protocol.value,
        "TASK": task.task,
        "OUTPUT_DIR": work_dir,
        "LIMIT": task.limit,
        "REPEATS": task.repeats,
        "SEED": sampling.seed,
        "TEMPERATURE": sampling.temperature,
        "TOP_P": sampling.top_p,
        "MAX_NEW_TOKENS": sampling.max_new_tokens,
        "PARALLELISM": traffic.parallelism,
        "REQUEST_TIMEOUT_S": traffic.request_timeout_s,
        "DATA_DIR": config.data_dir.resolve() if config.data_dir else None,
    }
    return {f"SNAKEVAL_{name}": str(value) for name, value in values.items() if value is not None}
