"""Evaluates one task with Inspect, all epochs in one log, and writes what came out."""

from dataclasses import asdict
from importlib.metadata import version

import inspect_ai
from inspect_ai import Task
from inspect_ai.hooks import Hooks, SampleEnd, TaskStart, hooks
from inspect_ai.log import EvalError, EvalLog, EvalSample, resolve_sample_attachments
from inspect_ai.model import GenerateConfig, Model, get_model
from inspect_ai.model._model import init_active_model

from ..shared.failures import RunnerError
from ..shared.outcome import OutcomeRecord, SampleCounts, write_outcome
from ..shared.progress import Progress
from ..shared.replies import describe
from ..shared.samples import write_samples
from .loading import load_task
from .replies import requests_of, unanswered
from .request import InspectRequest
from .results import build_metrics
from .samples import build_samples

# A service that Inspect does not know: the key is in SNAKEVAL_API_KEY, and no key of the user's goes to the gateway.
PROVIDER = "openai-api/snakeval"
# The gateway knows when to give up: a request may wait there for its endpoint, and an error of its is for good.
NO_LIMIT_S = 24 * 3600
# Of lost connections, with pauses from 0.5 s to 8 s: about a minute, for a gateway that is started again.
CONNECTION_RETRIES = 12
# Inspect would rewrite the whole JSON log every ten samples; what was answered is in the gateway's journal.
WRITE_LOG_ONCE = 1 << 30


def evaluate(request: InspectRequest) -> None:
    """Evaluate the task and write outcome, samples and Inspect's own log.

    Raises:
        RunnerError: There is no outcome: the task cannot run, or samples have no answer.
    """
    model, config = _model(request)
    # Tasks may ask for the model while they are made.
    init_active_model(model, config)
    task = load_task(request)
    _report_progress(Progress(request.progress_path))
    log = _run(request, task, model, config)
    # Texts of more than a line are kept aside, and a reference in their place.
    samples = [resolve_sample_attachments(sample, "full") for sample in log.samples or []]
    asked = min(request.limit or len(task.dataset), len(task.dataset))
    _check(request, log, samples, asked)
    write_samples(request.samples_path, build_samples(request.task, log, samples))
    write_outcome(request.outcome_path, _outcome(request, log, samples, asked))


def _model(request: InspectRequest) -> tuple[Model, GenerateConfig]:
    model = get_model(
        f"{PROVIDER}/{request.model}",
        base_url=request.base_url,
        client_timeout=NO_LIMIT_S,
        max_retries=CONNECTION_RETRIES,
        stream=False,
    )
    chosen = {name: value for name, value in asdict(request.generation).items() if value is not None}
    config = GenerateConfig(
        **chosen,
        max_connections=request.parallelism,
        max_retries=0,
        timeout=NO_LIMIT_S,
        attempt_timeout=NO_LIMIT_S,
    )
    return model, config


def _run(request: InspectRequest, task: Task, model: Model, config: GenerateConfig) -> EvalLog:
    logs = inspect_ai.eval(
        task,
        model=model,
        limit=request.limit,
        epochs=request.repeats if request.repeats > 1 else None,
        fail_on_error=True,
        continue_on_fail=True,
        display="plain",
        log_dir=str(request.log_dir),
        log_format="json",
        log_buffer=WRITE_LOG_ONCE,
        log_realtime=False,
        log_model_api=True,
        ctl_server=False,
        **config.model_dump(exclude_unset=True),
    )
    if len(logs) != 1:
        raise RunnerError("harness", f"Inspect wrote {len(logs)} logs for task {request.task}")
    return logs[0]


def _report_progress(progress: Progress) -> None:
    """Count samples, every epoch of them on its own, as Inspect finishes them."""

    class Reporter(Hooks):
        async def on_task_start(self, data: TaskStart) -> None:
            progress.expect(len(data.spec.dataset.sample_ids or []) * (data.spec.config.epochs or 1))

        async def on_sample_end(self, data: SampleEnd) -> None:
            progress.advance()

    hooks(name="snakeval_progress", description="Writes progress.json")(Reporter)


def _check(request: InspectRequest, log: EvalLog, samples: list[EvalSample], asked: int) -> None:
    """Raise RunnerError unless every sample of every epoch was answered and scored."""
    broken = [sample for sample in samples if sample.error is not None]
    silent = unanswered(samples, log.eval.model)
    failed = len({str(sample.id) for sample in broken} | {one.sample_id for one in silent})
    counts = SampleCounts(asked, asked - failed, failed)
    if silent:
        raise RunnerError("endpoint", describe([one.why for one in silent], asked, failed), counts)
    if broken:
        message = f"{failed} of {asked} samples failed, e.g. sample {broken[0].id}: {_first_line(broken[0].error)}"
        raise RunnerError("harness", message, counts)
    if log.status != "success" or log.results is None:
        text = _first_line(log.error) or f"its log has status {log.status}"
        raise RunnerError("harness", f"Inspect failed on task {request.task}: {text}", counts)
    epochs = log.eval.config.epochs or 1
    found = {(str(sample.id), sample.epoch) for sample in samples}
    if len(found) != asked * epochs:
        message = f"{len(found)} of {asked * epochs} samples are in Inspect's log ({asked} samples, {epochs} epochs)"
        raise RunnerError("harness", message, counts)
    if not any(requests_of(sample, log.eval.model) for sample in samples):
        message = f"task {request.task} sent no request to the endpoint, so that its scores say nothing of it"
        raise RunnerError("harness", message, counts)


def _first_line(error: EvalError | None) -> str:
    return " ".join(error.message.split())[:500] if error else ""


def _outcome(request: InspectRequest, log: EvalLog, samples: list[EvalSample], asked: int) -> OutcomeRecord:
    return OutcomeRecord(
        metrics=build_metrics(request, log, samples, asked),
        samples=SampleCounts(asked, asked),
        versions={
            "inspect_ai": version("inspect_ai"),
            "task": {request.task: log.eval.task_version},
            **({"inspect_evals": version("inspect_evals")} if request.spec.startswith("inspect_evals/") else {}),
        },
    )
