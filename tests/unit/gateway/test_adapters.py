"""What is done to requests and answers on their way, and streams in both directions."""

import json
from typing import Any

import pytest
from snakeval.gateway.adapters import Adapters
from snakeval.gateway.stream import BrokenStreamError, Gathering, events

USER = {"role": "user", "content": "What comes after 3?"}
SYSTEM = {"role": "system", "content": "Be brief."}


def _sent(adapters: Adapters, *messages: dict[str, Any], **body: Any) -> dict[str, Any]:
    return adapters.outgoing({"model": "m", "messages": list(messages or (USER,)), **body})


def test_without_settings_nothing_changes() -> None:
    assert _sent(Adapters(), SYSTEM, USER, seed=1) == {"model": "m", "messages": [SYSTEM, USER], "seed": 1}


@pytest.mark.parametrize(
    ("place", "text"), [("replace", "Ours."), ("before", "Ours.\nBe brief."), ("after", "Be brief.\nOurs.")]
)
def test_a_system_prompt(place: Any, text: str) -> None:
    adapters = Adapters(system_prompt="Ours.", system_prompt_place=place)
    assert _sent(adapters, SYSTEM, USER)["messages"] == [{"role": "system", "content": text}, USER]
    assert _sent(adapters)["messages"] == [{"role": "system", "content": "Ours."}, USER]


def test_an_endpoint_without_a_system_role() -> None:
    adapters = Adapters(no_system_role=True)
    assert _sent(adapters, SYSTEM, USER)["messages"] == [
        {"role": "user", "content": "Be brief.\n\nWhat comes after 3?"}
    ]
    assert _sent(adapters)["messages"] == [USER]


def test_parameters_are_renamed_removed_and_added() -> None:
    adapters = Adapters(rename={"max_tokens": "max_completion_tokens"}, remove=("seed",), add={"top_k": 5})
    sent = _sent(adapters, max_tokens=8, seed=1)
    assert {name: sent[name] for name in sent if name not in ("model", "messages")} == {
        "max_completion_tokens": 8,
        "top_k": 5,
    }


def test_an_added_limit_takes_the_place_of_the_other_name() -> None:
    assert "max_tokens" not in _sent(Adapters(add={"max_completion_tokens": 9}), max_tokens=8)


def test_a_stream_is_asked_for_only_where_the_endpoint_has_nothing_else() -> None:
    assert "stream" not in _sent(Adapters(), stream=True, stream_options={})
    assert _sent(Adapters(streaming=True))["stream"] is True


def test_key_styles() -> None:
    assert Adapters().key_headers("k") == {"Authorization": "Bearer k"}
    assert Adapters(key_header="api-key").key_headers("k") == {"api-key": "k"}
    assert Adapters().key_headers(None) == {}


def test_a_header_that_is_set_wins_over_the_key_and_may_name_a_variable() -> None:
    adapters = Adapters(headers={"authorization": "MY_KEY", "X-Mode": "MODE", "X-A": "a"})
    told = adapters.own_headers("k", {"MY_KEY": "Bearer secret"})
    assert told == {"authorization": "Bearer secret", "X-Mode": "MODE", "X-A": "a"}
    assert Adapters(headers={"X-A": "a"}).own_headers("k", {}) == {"Authorization": "Bearer k", "X-A": "a"}


def test_headers_change_no_answer() -> None:
    assert Adapters(headers={"X-Key": "secret"}).hash == Adapters().hash
    assert Adapters(reasoning=True).hash != Adapters().hash


@pytest.mark.parametrize(
    ("text", "thought", "left"),
    [
        ("<think>Maybe 3?</think>\n\n4", "Maybe 3?", "4"),
        ("Maybe 3?</think>4", "Maybe 3?", "4"),
        ("<think>Maybe 3?", "Maybe 3?", ""),
        ("<think>a</think>4 <think>b</think>!", "a\nb", "4 !"),
        ("4", "", "4"),
        (" 4 ", "", " 4 "),
    ],
)
def test_reasoning_is_taken_out(text: str, thought: str, left: str) -> None:
    reply = {"choices": [{"index": 0, "message": {"role": "assistant", "content": text}}]}
    message = Adapters(reasoning=True).incoming(reply)["choices"][0]["message"]
    assert message["content"] == left
    assert message.get("reasoning_content", "") == thought
    assert Adapters().incoming(reply) == reply


def test_choices_come_by_index_and_parts_as_text() -> None:
    parts = [{"type": "thinking", "thinking": []}, {"type": "text", "text": "4"}]
    choices = [{"index": 1, "message": {"content": "5"}}, {"index": 0, "message": {"content": parts}}]
    assert [c["message"]["content"] for c in Adapters().incoming({"choices": choices})["choices"]] == ["4", "5"]


REPLY = {
    "id": "x",
    "model": "m",
    "choices": [
        {
            "index": 0,
            "finish_reason": "tool_calls",
            "message": {
                "role": "assistant",
                "content": "Let me see: é模",
                "reasoning_content": "First",
                "tool_calls": [{"id": "1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}],
            },
        },
        {"index": 1, "finish_reason": "stop", "message": {"role": "assistant", "content": "5"}},
    ],
    "usage": {"prompt_tokens": 5, "completion_tokens": 2},
}


@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_a_stream_adds_up_to_the_answer_that_it_was_made_of(size: int) -> None:
    body = b"".join(events(REPLY))
    gathering = Gathering()
    for start in range(0, len(body), size):
        gathering.feed(body[start : start + size])
    whole = json.loads(gathering.whole())
    assert whole["choices"] == REPLY["choices"]
    assert whole["usage"] == REPLY["usage"]


def test_a_stream_of_completions() -> None:
    reply = {"choices": [{"index": 0, "finish_reason": "length", "text": "one two"}]}
    gathering = Gathering()
    gathering.feed(b"".join(events(reply)))
    assert json.loads(gathering.whole())["choices"] == reply["choices"]


def test_a_stream_without_its_end_is_no_answer() -> None:
    body = b"".join(events(REPLY)).removesuffix(b"data: [DONE]\n\n")
    gathering = Gathering()
    gathering.feed(body)
    with pytest.raises(BrokenStreamError, match="before its end mark"):
        gathering.whole()
    with pytest.raises(BrokenStreamError, match="no JSON"):
        Gathering().feed(b"data: {half\n")
