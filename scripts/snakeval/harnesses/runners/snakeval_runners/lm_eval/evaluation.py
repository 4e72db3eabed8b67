"""Evaluates one task: one pass per repeat, all of them through one client and one cache."""

import json
import os
import urllib.error
import urllib.request
from importlib.metadata import version
from typing import Any

from lm_eval import simple_evaluate
from lm_eval.utils import check_remote_tokenizer_support, handle_non_serializable

from ..shared.cache import RequestCache
from ..shared.failures import RunnerError
from ..shared.progress import Progress, write_json
from .client import Client, Endpoint
from .model import ChatModel, CompletionsModel, UnansweredError
from .request import RunRequest
from .results import build_metrics
from .samples import write_samples
from .tasks import LoadedTask, has_package, load_task


def evaluate(request: RunRequest) -> None:
    """Evaluate the task and write outcome, samples and lm-eval's own results.

    Raises:
        RunnerError: There is no outcome: the task cannot run, or samples have no answer.
    """
    loaded = load_task(request)
    api_key = os.environ.get("OPENAI_API_KEY", "")
    endpoint = Endpoint(
        request.url, api_key, max(1, request.parallelism), request.request_timeout_s, request.max_retries
    )
    client = Client(endpoint, RequestCache(request.cache_path), Progress(request.progress_path))
    model = _build_model(request, client, api_key)
    passes = _run_passes(request, loaded, model)
    if model.unanswered or len(passes) < request.repeats:
        asked, failed = loaded.documents(), len(model.unanswered)
        counts = {"asked": asked, "answered": asked - failed, "failed": failed}
        raise RunnerError("endpoint", client.failures.describe(asked, failed), counts)
    _write_results(request, passes)
    write_samples(request.samples_path, passes)
    write_json(request.outcome_path, _outcome(request, loaded, client, passes))


def _build_model(request: RunRequest, client: Client, api_key: str) -> ChatModel | CompletionsModel:
    if request.protocol == "chat":
        return ChatModel(request, client)
    if request.protocol == "completions":
        return CompletionsModel(request, client, tokenizer_backend="none")
    if request.tokenizer is not None:
        if not has_package("transformers"):
            raise RunnerError(
                "harness",
                f"the tokenizer {request.tokenizer} needs the Python package 'transformers', which the lm-eval"
                " environment does not have; add it there, or leave tokenizer unset and serve the model with an"
                " endpoint for it (vLLM: --enable-tokenizer-info-endpoint)",
            )
        return CompletionsModel(request, client, tokenizer=request.tokenizer, tokenizer_backend="huggingface")
    _check_remote_tokenizer(request, api_key)
    return CompletionsModel(request, client, tokenizer_backend="remote", auth_token=api_key or None)


def _check_remote_tokenizer(request: RunRequest, api_key: str) -> None:
    if check_remote_tokenizer_support(request.url, auth_token=api_key or None):
        return
    try:
        with urllib.request.urlopen(f"{request.base_url.rstrip('/')}/models", timeout=request.request_timeout_s):
            pass
    except urllib.error.HTTPError:
        pass
    except OSError as error:
        raise RunnerError("endpoint", f"the endpoint {request.base_url} does not answer: {error}") from error
    raise RunnerError(
        "harness",
        f"task {request.task} needs the model's tokenizer, which the endpoint does not offer; set tokenizer of the"
        " task to its path or hub id, or serve the model with an endpoint for it (vLLM:"
        " --enable-tokenizer-info-endpoint)",
    )


def _run_passes(request: RunRequest, loaded: LoadedTask, model: ChatModel | CompletionsModel) -> list[dict[str, Any]]:
    passes = []
    for number in range(request.repeats):
        model.start_pass(number)
        try:
            passes.append(
                simple_evaluate(
                    model=model,
                    tasks=list(loaded.specs),
                    task_manager=loaded.manager,
                    num_fewshot=request.num_fewshot,
                    limit=request.limit,
                    system_instruction=request.system_prompt,
                    apply_chat_template=request.protocol == "chat",
                    fewshot_as_multiturn=request.protocol == "chat",
                    gen_kwargs=request.generation_overrides() or None,
                    fewshot_random_seed=request.seed,
                )
            )
        except UnansweredError:
            # The other passes fill the cache; the next attempt asks only what is missing.
            if model.client.failures.hopeless:
                break
    return passes


def _write_results(request: RunRequest, passes: list[dict[str, Any]]) -> None:
    request.harness_output_path.mkdir(parents=True, exist_ok=True)
    for number, results in enumerate(passes):
        content = {key: value for key, value in results.items() if key != "samples"}
        text = json.dumps(content, indent=2, default=handle_non_serializable, ensure_ascii=False)
        (request.harness_output_path / f"results_{number}.json").write_text(text, encoding="utf-8")


def _outcome(request: RunRequest, loaded: LoadedTask, client: Client, passes: list[dict[str, Any]]) -> dict[str, Any]:
    documents = loaded.documents()
    return {
        "metrics": build_metrics(request.task, loaded, passes),
        "samples": {"asked": documents, "answered": documents, "failed": 0},
        "tokens": {"prompt": client.prompt_tokens, "completion": client.completion_tokens},
        "requests": {"sent": client.sent, "cached": client.cached, "retried": client.retried},
        "versions": {
            "lm_eval": version("lm_eval"),
            "datasets": version("datasets"),
            "task": dict(passes[0]["versions"]),
        },
    }
