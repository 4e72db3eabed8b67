"""Harnesses `inspect` and `inspect_evals`: tasks of Inspect, by the program snakeval_runners.inspect."""

from pathlib import Path

from snakeval.config.model import Config, Task
from snakeval.endpoint import Endpoint
from snakeval.harnesses.base import HarnessCommand
from snakeval.harnesses.runner import CACHE_VARIABLE, RUNNERS, RunnerHarness, data_cache, empty_folder, runner_command
from snakeval.harnesses.runners.snakeval_runners.inspect.request import Generation, InspectRequest
from snakeval.run.harness_paths import HarnessPaths


class InspectHarness(RunnerHarness):
    """Calls Inspect, which sends an epoch's requests with the seed of the one before."""

    program = "Inspect"
    varies_seed = True

    def command(self, task: Task, endpoint: Endpoint, work_dir: Path, python: Path, config: Config) -> HarnessCommand:
        """Write request.json and return the command; see `Harness.command`."""
        work_dir = empty_folder(work_dir)
        cache = data_cache(task, work_dir, config)
        request = build_request(task, endpoint, work_dir, cache.get(CACHE_VARIABLE))
        env = cache | {
            "SNAKEVAL_API_KEY": endpoint.api_key or "",
            "PYTHONPATH": str(RUNNERS),
            "INSPECT_DISABLE_UPDATE_CHECK": "1",
        }
        if config.data_dir:
            env["SNAKEVAL_DATA_DIR"] = str(config.data_dir.absolute())
        argv = runner_command(python, "snakeval_runners.inspect", work_dir, request)
        return HarnessCommand(argv, env, config.data_dir.absolute() if config.data_dir else work_dir)


def build_request(task: Task, endpoint: Endpoint, work_dir: Path, data_cache: str | None = None) -> InspectRequest:
    """Return the content of request.json; the API key is not in it."""
    sampling, files = task.sampling, HarnessPaths(work_dir)
    return InspectRequest(
        task=task.task,
        spec=f"{task.definition.absolute()}@{task.task}" if task.definition else f"inspect_evals/{task.task}",
        task_args=dict(task.extra),
        model=endpoint.model,
        base_url=endpoint.base_url,
        limit=task.limit,
        repeats=task.repeats,
        generation=Generation(
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            max_tokens=sampling.max_new_tokens,
            stop_seqs=sampling.stop,
            seed=sampling.seed,
            system_message=sampling.system_prompt,
        ),
        parallelism=task.settings["parallelism"],
        outcome_path=files.outcome,
        samples_path=files.samples,
        progress_path=files.progress,
        error_path=files.error,
        log_dir=work_dir / "inspect",
        cache_dir=work_dir / "inspect-cache",
        data_cache=data_cache,
    )
