"""The adapter's chain of interceptors: what the configuration asks for, with our endpoint at its end."""

from copy import deepcopy
from typing import Any

from ..shared.failures import RunnerError
from .request import NemoRequest

NAME = "snakeval_endpoint"


def complete_run_config(request: NemoRequest) -> dict[str, Any]:
    """Return the run configuration with an explicit chain of interceptors.

    Raises:
        RunnerError: nemo-evaluator refuses the configuration.
    """
    from nemo_evaluator.core.input import validate_configuration
    from nemo_evaluator.core.utils import MisconfigurationError

    try:
        evaluation = validate_configuration(deepcopy(request.run_config))
    except (MisconfigurationError, ValueError, KeyError) as error:
        raise RunnerError("harness", f"nemo-evaluator refuses the task's settings: {error}") from None
    chain = evaluation.target.api_endpoint.adapter_config.model_dump()
    if chain["mode"] != "server":
        raise RunnerError(
            "harness", f"adapter_config.mode is {chain['mode']}; requests can be followed by a server alone"
        )
    chain["discovery"]["modules"].append("snakeval_runners.nemo.endpoint")
    chain["interceptors"] = replace_endpoint(chain["interceptors"], request)
    complete = deepcopy(request.run_config)
    complete["target"]["api_endpoint"]["adapter_config"] = chain
    return complete


def replace_endpoint(chain: list[dict[str, Any]], request: NemoRequest) -> list[dict[str, Any]]:
    """Return the chain with our endpoint in the place of theirs, and with a cache that gives nothing out."""
    if not any(one["name"] == "endpoint" and one["enabled"] for one in chain):
        raise RunnerError("harness", "adapter_config.interceptors lacks endpoint, so that no request would be sent")
    replaced = []
    for one in chain:
        if one["name"] == "endpoint":
            one = {"name": NAME, "enabled": True, "config": _own_config(request)}
        elif one["name"] == "caching":
            one = {**one, "config": {**one["config"], "reuse_cached_responses": False}}
        replaced.append(one)
    return replaced


def _own_config(request: NemoRequest) -> dict[str, str | float]:
    return {
        "answers": str(request.answers_path),
        "events": str(request.events_path),
        "timeout_s": request.request_timeout_s,
        "retries": request.retries,
        "tries": request.tries,
        "give_up_after": max(10, request.parallelism),
    }
