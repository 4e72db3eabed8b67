"""NVIDIA's own adapter: it runs only for what the gateway does not do."""

from copy import deepcopy
from typing import Any

from ..shared.failures import RunnerError
from .request import NemoRequest

# They change no request and no answer, and nemo-evaluator puts them into every chain; the gateway keeps the answers.
_IDLE = frozenset({"caching", "endpoint", "response_stats"})


def complete_run_config(request: NemoRequest) -> dict[str, Any]:
    """Return the run configuration with an explicit chain of interceptors, which is empty where it would do nothing.

    Raises:
        RunnerError: nemo-evaluator refuses the configuration.
    """
    from nemo_evaluator.core.input import validate_configuration
    from nemo_evaluator.core.utils import MisconfigurationError

    try:
        evaluation = validate_configuration(deepcopy(request.run_config))
    except (MisconfigurationError, ValueError, KeyError) as error:
        raise RunnerError("harness", f"nemo-evaluator refuses the task's settings: {error}") from None
    complete = deepcopy(request.run_config)
    chain = evaluation.target.api_endpoint.adapter_config.model_dump()
    complete["target"]["api_endpoint"]["adapter_config"] = needed(chain, complete)
    return complete


def needed(chain: dict[str, Any], run_config: dict[str, Any]) -> dict[str, Any]:
    """Return the chain as it is to be.

    Args:
        chain: As nemo-evaluator understands what it is told.
        run_config: What it is told.
    """
    names = {one["name"] for one in chain["interceptors"] if one["enabled"]}
    told = run_config["target"]["api_endpoint"]["adapter_config"]
    if names <= _IDLE and not told.get("post_eval_hooks"):
        # Without any, nemo-evaluator would put the usual ones in.
        return {"interceptors": [{"name": "endpoint", "enabled": False}], "post_eval_hooks": []}
    if "endpoint" not in names:
        raise RunnerError("harness", "adapter_config.interceptors lacks endpoint, so that no request would be sent")
    for one in chain["interceptors"]:
        if one["name"] == "caching":
            # It would give equal requests, the repeats of a sample, the same answer.
            one["config"]["reuse_cached_responses"] = False
    return chain
