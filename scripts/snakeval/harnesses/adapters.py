"""What `adapter_config` and `system_prompt` of a task say, as the steps of the gateway."""

from collections.abc import Iterator, Mapping
from typing import Any

from snakeval.config.model import Task
from snakeval.config.reading.tree import Node
from snakeval.gateway.adapters import Adapters

# The module whose harnesses leave the system prompt to what stands between them and the endpoint.
NEMO_EVALUATOR = "nemo-evaluator"
_PARAMS = ("params_to_add", "params_to_remove", "params_to_rename")
_REASONING = ("process_reasoning_traces", "use_reasoning")
_HEADERS = "headers_to_add"


def adapters_of(task: Task) -> Adapters:
    """Return what the gateway does to the requests and answers of a task.

    nemo-evaluator's adapter removes, adds and renames parameters in this order, and the gateway renames, removes and
    adds: so a parameter that is added is added under its new name, and one that is removed is not renamed.
    """
    told = task.adapter_config
    rename = dict(told.get("params_to_rename") or {})
    removed = tuple(told.get("params_to_remove") or ())
    prompt, reasoning = _system_prompt(task), _takes_reasoning(told)
    marks = {"reasoning_begin": "start_reasoning_token", "reasoning_end": "end_reasoning_token"}
    return Adapters(
        system_prompt=prompt,
        # A harness's own prompt stays, as with nemo-evaluator since its release 25.11.
        system_prompt_place="replace" if prompt is None else "before",
        add={rename.get(name, name): value for name, value in (told.get("params_to_add") or {}).items()},
        remove=tuple(name for name in removed if name not in rename.values()),
        rename={old: new for old, new in rename.items() if old not in removed},
        headers=dict(_headers(told)),
        reasoning=reasoning,
        **{ours: told[theirs] for ours, theirs in marks.items() if reasoning and told.get(theirs)},
    )


def for_nvidia(task: Task) -> Node:
    """Return what is left of `adapter_config` for nemo-evaluator's own adapter: what the gateway does not do.

    What the gateway does is turned off there, should the harness's own file turn it on.
    """
    told = task.adapter_config
    left = {name: _without_headers(value) for name, value in told.items() if name not in (*_PARAMS, _HEADERS)}
    off = dict.fromkeys(_REASONING, False) if _takes_reasoning(told) else {}
    if _system_prompt(task) is not None:
        off["use_system_prompt"] = False
    # It refuses these keys beside a chain of its own.
    return Node(left if "interceptors" in left else left | off)


def header_variables(task: Task) -> list[str]:
    """Return the values of the headers that are set, which may be names of variables."""
    return [value for _, value in _headers(task.adapter_config)]


def _system_prompt(task: Task) -> str | None:
    told = task.adapter_config
    if told.get("use_system_prompt") and told.get("custom_system_prompt"):
        return str(told["custom_system_prompt"])
    own = {"use_system_prompt", "custom_system_prompt", "interceptors"} & told.keys()
    return None if own or task.module != NEMO_EVALUATOR else task.sampling.system_prompt


def _takes_reasoning(told: Mapping[str, Any]) -> bool:
    """Whether the gateway takes reasoning away; unfinished reasoning that is to stay is left to NVIDIA's adapter."""
    return any(told.get(name) for name in _REASONING) and not told.get("include_if_reasoning_not_finished")


def _headers(told: Any) -> Iterator[tuple[str, str]]:
    """Yield the headers that are set, inside `interceptors` too; the gateway alone knows the keys in them."""
    if isinstance(told, Mapping):
        yield from ((str(name), str(value)) for name, value in (told.get(_HEADERS) or {}).items())
    inner = told.values() if isinstance(told, Mapping) else told if isinstance(told, list) else ()
    for value in inner:
        yield from _headers(value)


def _without_headers(told: Any) -> Any:
    if isinstance(told, Mapping):
        return {name: _without_headers(value) for name, value in told.items() if name != _HEADERS}
    return [_without_headers(value) for value in told] if isinstance(told, list) else told
