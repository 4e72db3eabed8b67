"""Evaluates one task: one pass per repeat. The gateway tells equal requests apart, and varies their seeds."""

import json
import os
from functools import cache
from importlib.metadata import version

import requests
from lm_eval import simple_evaluate
from lm_eval.utils import check_remote_tokenizer_support, handle_non_serializable

from ..shared.failures import RunnerError
from ..shared.outcome import OutcomeRecord, SampleCounts, write_outcome
from ..shared.progress import Progress
from ..shared.replies import describe
from ..shared.samples import write_samples
from .model import TIMEOUT_S, ChatModel, CompletionsModel, UnansweredError, refusal_in
from .passes import Pass, read_pass
from .request import Generation, LmEvalRequest
from .results import build_metrics
from .samples import build_samples
from .tasks import LoadedTask, has_package, load_task


def evaluate(request: LmEvalRequest) -> None:
    """Evaluate the task and write outcome, samples and lm-eval's own results.

    Raises:
        RunnerError: There is no outcome: the task cannot run, or samples have no answer.
    """
    loaded = load_task(request)
    model = _build_model(request, Progress(request.progress_path))
    passes = _run_passes(request, loaded, model)
    if model.unanswered or len(passes) < request.repeats:
        asked, failed = loaded.documents(), len(model.unanswered)
        counts = SampleCounts(asked, asked - failed, failed)
        raise RunnerError("endpoint", describe(model.refusals, asked, failed), counts)
    _write_results(request, passes)
    write_samples(request.samples_path, build_samples(passes))
    write_outcome(request.outcome_path, _outcome(request, loaded, passes))


def _build_model(request: LmEvalRequest, progress: Progress) -> ChatModel | CompletionsModel:
    if request.protocol == "chat":
        return ChatModel(request, progress)
    if request.protocol == "completions":
        return CompletionsModel(request, progress, tokenizer_backend="none")
    if request.tokenizer is not None:
        if not has_package("transformers"):
            raise RunnerError(
                "harness",
                f"the tokenizer {request.tokenizer} needs the Python package 'transformers', which the lm-eval"
                " environment does not have; add it there, or leave tokenizer unset and serve the model with an"
                " endpoint for it (vLLM: --enable-tokenizer-info-endpoint)",
            )
        return CompletionsModel(request, progress, tokenizer=request.tokenizer, tokenizer_backend="huggingface")
    api_key = os.environ.get("OPENAI_API_KEY")
    _check_remote_tokenizer(request, api_key)
    model = CompletionsModel(request, progress, tokenizer_backend="remote", auth_token=api_key)
    # The choices of a question share its text, and each text is a request.
    model.tokenizer.encode = cache(model.tokenizer.encode)
    return model


def _check_remote_tokenizer(request: LmEvalRequest, api_key: str | None) -> None:
    if check_remote_tokenizer_support(request.url, auth_token=api_key):
        return
    headers = {"Authorization": f"Bearer {api_key}"}
    listing = requests.get(f"{request.base_url.rstrip('/')}/models", headers=headers, timeout=TIMEOUT_S)
    if listing.status_code >= 500:
        raise RunnerError("endpoint", f"the endpoint does not answer: {refusal_in(listing.status_code, listing.text)}")
    raise RunnerError(
        "harness",
        f"task {request.task} needs the model's tokenizer, which the endpoint does not offer; set tokenizer of the"
        " task to its path or hub id, or serve the model with an endpoint for it (vLLM:"
        " --enable-tokenizer-info-endpoint)",
    )


def _run_passes(request: LmEvalRequest, loaded: LoadedTask, model: ChatModel | CompletionsModel) -> list[Pass]:
    passes = []
    for number in range(request.repeats):
        model.passes_ahead = request.repeats if number == 0 else 0
        try:
            results = simple_evaluate(
                model=model,
                tasks=list(loaded.specs),
                task_manager=loaded.manager,
                num_fewshot=request.num_fewshot,
                limit=request.limit,
                system_instruction=request.system_prompt,
                apply_chat_template=request.protocol == "chat",
                fewshot_as_multiturn=request.protocol == "chat",
                gen_kwargs=_overrides(request.generation) or None,
                fewshot_random_seed=request.seed,
            )
            passes.append(read_pass(results))
        except UnansweredError:
            # The gateway remembers what the other passes get; the next attempt asks only what is missing.
            continue
    return passes


def _overrides(generation: Generation) -> dict[str, object]:
    """Return what the request sets of the task's generation_kwargs, in lm-eval's names."""
    values = {
        "temperature": generation.temperature,
        "top_p": generation.top_p,
        "max_gen_toks": generation.max_tokens,
        "until": generation.stop,
        "do_sample": True if generation.temperature else None,
    }
    return {name: value for name, value in values.items() if value is not None}


def _write_results(request: LmEvalRequest, passes: list[Pass]) -> None:
    request.harness_output_path.mkdir(parents=True, exist_ok=True)
    for number, results in enumerate(passes):
        text = json.dumps(results.own_words, indent=2, default=handle_non_serializable, ensure_ascii=False)
        (request.harness_output_path / f"results_{number}.json").write_text(text, encoding="utf-8")


def _outcome(request: LmEvalRequest, loaded: LoadedTask, passes: list[Pass]) -> OutcomeRecord:
    documents = loaded.documents()
    return OutcomeRecord(
        metrics=build_metrics(request.task, loaded, passes),
        samples=SampleCounts(documents, documents),
        versions={
            "lm_eval": version("lm_eval"),
            "datasets": version("datasets"),
            "task": dict(passes[0].versions),
        },
    )
