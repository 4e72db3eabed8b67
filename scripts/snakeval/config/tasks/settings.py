"""What harnesses call the settings of a task, and which of them they have."""

from typing import Any

# Ours -> the harnesses' own name.
SETTINGS = {
    "temperature": "temperature",
    "top_p": "top_p",
    "max_new_tokens": "max_new_tokens",
    "parallelism": "parallelism",
    "request_timeout_s": "request_timeout",
    "max_retries": "max_retries",
}
# What harnesses of the registry have no parameter for, or one below `extra`.
UNREGISTERED = ("stop", "seed", "tokenizer", "num_fewshot")
REPEATS = ("n_samples", "num_repeats")
# What nemo-evaluator 0.2.8 calls the settings of its adapter.
ADAPTER_SETTINGS = (
    "custom_system_prompt",
    "discovery",
    "end_reasoning_token",
    "generate_html_report",
    "headers_to_add",
    "headers_to_remove",
    "headers_to_rename",
    "html_report_size",
    "include_if_reasoning_not_finished",
    "include_json",
    "interceptors",
    "log_failed_requests",
    "logging_aggregated_stats_interval",
    "max_logged_requests",
    "max_logged_responses",
    "max_saved_requests",
    "max_saved_responses",
    "params_to_add",
    "params_to_remove",
    "params_to_rename",
    "post_eval_hooks",
    "process_reasoning_traces",
    "progress_tracking_interval",
    "progress_tracking_url",
    "save_requests",
    "save_responses",
    "start_reasoning_token",
    "track_reasoning",
    "tracking_requests_stats",
    "use_caching",
    "use_progress_tracking",
    "use_raise_client_errors",
    "use_reasoning",
    "use_request_logging",
    "use_response_logging",
    "use_system_prompt",
)
# Those of them that the gateway does, for every harness.
GATEWAY_SETTINGS = (
    "custom_system_prompt",
    "end_reasoning_token",
    "headers_to_add",
    "params_to_add",
    "params_to_remove",
    "params_to_rename",
    "process_reasoning_traces",
    "start_reasoning_token",
    "use_reasoning",
    "use_system_prompt",
)
LM_EVAL_ANYWAY = ("--trust_remote_code",)  # It never runs a dataset's own code.


def lm_eval_takes(name: str, value: Any) -> bool:
    """Return whether lm-eval does what a key of `extra` says."""
    if name == "tokenizer_backend":
        return str(value).lower() in ("huggingface", "hf", "none")
    return name == "tokenizer" or value in (None, False, "") or (name == "args" and value in LM_EVAL_ANYWAY)


def extra_names(settings: frozenset[str]) -> set[str]:
    """Return the first words of a harness's settings below `extra`."""
    return {name.split(".")[1] for name in settings if name.startswith("extra.")}
