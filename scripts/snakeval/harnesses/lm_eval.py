"""Harness `lm-eval`: lm-evaluation-harness, one process per task, by the program snakeval_runners.lm_eval."""

from pathlib import Path

from snakeval.config.model import Config, Task
from snakeval.endpoint import Endpoint
from snakeval.harnesses.base import HarnessCommand
from snakeval.harnesses.runner import RUNNERS, RunnerHarness, data_cache, empty_folder, runner_command
from snakeval.harnesses.runners.snakeval_runners.lm_eval.request import Generation, LmEvalRequest
from snakeval.run.harness_paths import HarnessPaths

SEED = 1234
PARALLELISM = 8


class LmEvalHarness(RunnerHarness):
    """Calls lm-eval, which asks a gateway; the gateway remembers the answers, so that a retry resumes."""

    program = "lm-eval"
    varies_seed = True

    def command(self, task: Task, endpoint: Endpoint, work_dir: Path, python: Path, config: Config) -> HarnessCommand:
        """Write request.json and return the command; see `Harness.command`."""
        work_dir = empty_folder(work_dir)
        request = build_request(task, endpoint, work_dir, config)
        # A user's own OPENAI_API_KEY must not reach somebody else's endpoint, so the variable is always set.
        env = {"OPENAI_API_KEY": endpoint.api_key or "", "PYTHONPATH": str(RUNNERS), "TOKENIZERS_PARALLELISM": "false"}
        env |= data_cache(task, work_dir, config)
        argv = runner_command(python, "snakeval_runners.lm_eval", work_dir, request)
        return HarnessCommand(argv, env, config.data_dir.absolute() if config.data_dir else work_dir)


def build_request(task: Task, endpoint: Endpoint, work_dir: Path, config: Config) -> LmEvalRequest:
    """Return the content of request.json; the API key is not in it.

    A task with a definition is looked up in the task folders alone: reading all that lm-eval ships takes 7 s.
    """
    sampling, traffic = task.sampling, task.traffic
    is_defined_here = task.definition is not None
    files = HarnessPaths(work_dir)
    return LmEvalRequest(
        task=task.task,
        include_paths=[str(folder.absolute()) for folder in config.task_dirs] if is_defined_here else [],
        include_defaults=not is_defined_here,
        protocol=task.protocol.value,
        model=endpoint.model,
        base_url=endpoint.base_url,
        tokenizer=_tokenizer(task.settings.get("tokenizer")),
        limit=task.limit,
        repeats=task.repeats,
        seed=SEED if sampling.seed is None else sampling.seed,
        num_fewshot=task.settings.get("num_fewshot"),
        system_prompt=sampling.system_prompt,
        generation=Generation(
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            max_tokens=sampling.max_new_tokens,
            stop=sampling.stop,
        ),
        parallelism=PARALLELISM if traffic.parallelism is None else traffic.parallelism,
        outcome_path=files.outcome,
        samples_path=files.samples,
        progress_path=files.progress,
        error_path=files.error,
        harness_output_path=work_dir / "lm_eval",
    )


def _tokenizer(tokenizer: str | None) -> str | None:
    """The harness runs in another folder, so a path becomes absolute; a hub id stays."""
    if tokenizer is None or not Path(tokenizer).exists():
        return tokenizer
    return str(Path(tokenizer).absolute())
