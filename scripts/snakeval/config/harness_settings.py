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
LM_EVAL_ANYWAY = ("--trust_remote_code",)  # It never runs a dataset's own code.


def lm_eval_takes(name: str, value: Any) -> bool:
    """Return whether lm-eval does what a key of `extra` says."""
    if name == "tokenizer_backend":
        return str(value).lower() in ("huggingface", "hf", "none")
    return name == "tokenizer" or value in (None, False, "") or (name == "args" and value in LM_EVAL_ANYWAY)


def extra_names(settings: frozenset[str]) -> set[str]:
    """Return the first words of a harness's settings below `extra`."""
    return {name.split(".")[1] for name in settings if name.startswith("extra.")}
