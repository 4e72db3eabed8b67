"""What `adapter_config` says, as the gateway's steps; nemo-evaluator's adapter gets the rest."""

from dataclasses import replace
from typing import Any

import pytest
from harness_cases import a_task
from snakeval.config.model import Task
from snakeval.endpoint import Protocol
from snakeval.gateway.adapters import Adapters
from snakeval.harnesses.adapters import adapters_of, for_nvidia, header_variables


def _task(module: str = "nemo-evaluator", **settings: Any) -> Task:
    return replace(a_task(harness="simple_evals", **settings), module=module)


def _told(**keys: Any) -> Adapters:
    return adapters_of(_task(adapter_config=keys))


def _sent(adapters: Adapters, **body: Any) -> dict[str, Any]:
    return adapters.outgoing(body)


def test_without_settings_nothing_is_done() -> None:
    assert adapters_of(_task()) == Adapters()


def test_the_system_prompt_comes_before_the_harness_s_own() -> None:
    messages = [{"role": "system", "content": "Own."}, {"role": "user", "content": "Why?"}]
    for task in (
        _task(system_prompt="Be brief."),
        _task(adapter_config={"use_system_prompt": True, "custom_system_prompt": "Be brief."}, system_prompt="Other."),
    ):
        sent = _sent(adapters_of(task), messages=messages)
        assert sent["messages"] == [{"role": "system", "content": "Be brief.\nOwn."}, messages[1]]
        assert for_nvidia(task)["use_system_prompt"] is False


@pytest.mark.parametrize(
    "task",
    [
        _task(module="", system_prompt="Be brief."),
        _task(system_prompt="Be brief.", adapter_config={"use_system_prompt": False}),
        _task(system_prompt="Be brief.", adapter_config={"interceptors": ["endpoint"]}),
    ],
    ids=["the harness adds it", "turned off", "a chain of its own"],
)
def test_some_tasks_system_prompt_is_nothing_for_the_gateway(task: Task) -> None:
    assert adapters_of(task).system_prompt is None
    assert "use_system_prompt" not in for_nvidia(task) or "use_system_prompt" in task.adapter_config


def test_parameters_are_removed_then_added_then_renamed_as_nemo_evaluator_does() -> None:
    adapters = _told(
        params_to_remove=["seed", "b"],
        params_to_add={"max_tokens": 9, "top_k": 5},
        params_to_rename={"max_tokens": "max_completion_tokens", "seed": "random_seed", "a": "b"},
    )
    sent = _sent(adapters, max_tokens=8, seed=1, a=2)
    assert sent == {"max_completion_tokens": 9, "top_k": 5, "b": 2}


def test_headers_go_to_the_gateway_alone_which_knows_their_keys() -> None:
    chain = [{"name": "payload_modifier", "config": {"headers_to_add": {"X-B": "B"}, "params_to_add": {"c": 1}}}]
    task = _task(adapter_config={"headers_to_add": {"Authorization": "MY_KEY"}, "interceptors": [*chain, "endpoint"]})
    assert adapters_of(task).headers == {"Authorization": "MY_KEY", "X-B": "B"}
    assert header_variables(task) == ["MY_KEY", "B"]
    assert for_nvidia(task) == {
        "interceptors": [{"name": "payload_modifier", "config": {"params_to_add": {"c": 1}}}, "endpoint"]
    }


@pytest.mark.parametrize("key", ["process_reasoning_traces", "use_reasoning"])
def test_reasoning_is_the_gateway_s_unless_unfinished_reasoning_shall_stay(key: str) -> None:
    task = _task(adapter_config={key: True, "start_reasoning_token": "<t>", "end_reasoning_token": "</t>"})
    adapters = adapters_of(task)
    assert (adapters.reasoning, adapters.reasoning_begin, adapters.reasoning_end) == (True, "<t>", "</t>")
    assert not any(for_nvidia(task)[name] for name in ("process_reasoning_traces", "use_reasoning"))
    keeps = _task(adapter_config={key: True, "include_if_reasoning_not_finished": True})
    assert not adapters_of(keeps).reasoning
    assert for_nvidia(keeps) == keeps.adapter_config


def test_what_the_gateway_does_not_do_is_left_to_nvidia_s_adapter() -> None:
    told = {"use_request_logging": True, "headers_to_remove": ["X-A"], "params_to_add": {"a": 1}}
    task = _task(adapter_config=told, protocol=Protocol.COMPLETIONS)
    assert for_nvidia(task) == {"use_request_logging": True, "headers_to_remove": ["X-A"]}
