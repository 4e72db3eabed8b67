"""What a reply is: one row per way in which endpoints of the field were seen to answer."""

import json
from typing import Any

import pytest
from snakeval.gateway.judge import judge, judge_plain, judge_status
from snakeval.gateway.kinds import DEFAULTS, NEVER_SCORED, Kind, Rules, Treatment, Verdict, worst
from snakeval.gateway.wire import Asked


def _reply(finish: Any = "stop", choice: dict[str, Any] | None = None, **message: Any) -> bytes:
    whole = {"index": 0, "finish_reason": finish, "message": {"role": "assistant", **message}, **(choice or {})}
    return json.dumps({"choices": [whole], "usage": {"prompt_tokens": 5, "completion_tokens": 2}}).encode()


CHATS = {
    "text": (_reply(content="4"), Kind.ANSWERED),
    "no finish reason": (_reply(None, content="4"), Kind.UNFINISHED),
    "no word of its end": (b'{"choices": [{"message": {"content": "4"}}]}', Kind.ANSWERED),
    "text in parts": (_reply(content=[{"type": "text", "text": "4"}]), Kind.ANSWERED),
    "parts, thinking first": (
        _reply(content=[{"type": "thinking", "thinking": []}, {"type": "text", "text": "4"}]),
        Kind.ANSWERED,
    ),
    "only thinking parts": (_reply(content=[{"type": "thinking", "thinking": []}]), Kind.THOUGHT_ONLY),
    "tool call": (_reply("tool_calls", content=None, tool_calls=[{"id": "1"}]), Kind.ANSWERED),
    "tool call, cut off": (_reply("length", content=None, tool_calls=[{"id": "1"}]), Kind.CUT_OFF),
    "old function call": (_reply("function_call", content=None, function_call={"name": "f"}), Kind.ANSWERED),
    "cut off": (_reply("length", content="The number"), Kind.CUT_OFF),
    "cut off before any text": (_reply("length", content=""), Kind.CUT_OFF),
    "empty": (_reply(content=""), Kind.EMPTY),
    "white space": (_reply(content=" \n"), Kind.EMPTY),
    "null": (_reply(content=None), Kind.NO_ANSWER),
    "null, cut off": (_reply("length", content=None), Kind.NO_ANSWER),
    "no message": (json.dumps({"choices": [{"index": 0, "finish_reason": "stop"}]}).encode(), Kind.NO_ANSWER),
    "refusal": (_reply(content=None, refusal="I cannot help."), Kind.REFUSED),
    "refusal and text": (_reply(content="no", refusal="I cannot help."), Kind.REFUSED),
    "thought, cut off": (_reply("length", content=None, reasoning_content="First"), Kind.THOUGHT_ONLY),
    "thought, stop text": (_reply(content="", reasoning_content="First"), Kind.THOUGHT_ONLY),
    "thought under its other name": (_reply(content=None, reasoning="First"), Kind.THOUGHT_ONLY),
    "thought and text": (_reply(content="4", reasoning_content="First"), Kind.ANSWERED),
    "marks in the text, cut off": (_reply("length", content="<think>Let me"), Kind.CUT_OFF),
    "aborted": (_reply("abort", content=""), Kind.ABORTED),
    "aborted with text": (_reply("abort", content="The number"), Kind.ABORTED),
    "aborted without content": (_reply("cancelled", content=None), Kind.ABORTED),
    "filtered": (_reply("content_filter", content=""), Kind.FILTERED),
    "filtered with text": (_reply("content_filter", content="The"), Kind.FILTERED),
    "filtered, null": (_reply("SAFETY", content=None), Kind.FILTERED),
    "error as finish reason": (_reply("error", content="The"), Kind.ERROR),
    "error in the choice": (_reply(content="The", choice={"error": {"code": 502}}), Kind.ERROR),
    "error beside choices": (json.dumps({"error": {"code": 503}, "choices": []}).encode(), Kind.ERROR),
    "error with status 200": (b'{"error": {"message": "overloaded"}}', Kind.ERROR),
    "no choices": (b'{"choices": []}', Kind.NO_ANSWER),
    "choices are null": (b'{"choices": null}', Kind.NO_ANSWER),
    "no JSON": (b"<html>502 Bad Gateway</html>", Kind.NO_ANSWER),
    "half a body": (_reply(content="4")[:30], Kind.NO_ANSWER),
    "nothing": (b"", Kind.NO_ANSWER),
    "a list": (b"[]", Kind.NO_ANSWER),
    "not UTF-8": (b'{"choices": [{"message": {"content": "\xff"}}]}', Kind.NO_ANSWER),
    "nested too deeply": (b"[" * 100_000, Kind.NO_ANSWER),
    "content is a number": (_reply(content=4), Kind.NO_ANSWER),
}


@pytest.mark.parametrize("name", CHATS)
def test_a_chat_is_judged(name: str) -> None:
    body, kind = CHATS[name]
    judgement = judge(Asked(), body)
    assert judgement.verdict.kind is kind, judgement.verdict


def test_several_choices_are_judged_by_their_index() -> None:
    choices = [
        {"index": 1, "finish_reason": "abort", "message": {"content": "0"}},
        {"index": 0, "finish_reason": "length", "message": {"content": "4"}},
    ]
    judgement = judge(Asked(n=2), json.dumps({"choices": choices}).encode())
    assert [verdict.kind for verdict in judgement.verdicts] == [Kind.CUT_OFF, Kind.ABORTED]
    assert judgement.finish_reasons == ["length", "abort"]
    assert judgement.verdict.kind is Kind.ABORTED


def test_fewer_choices_than_asked_are_no_answer() -> None:
    assert judge(Asked(n=2), _reply(content="4")).verdict.kind is Kind.NO_ANSWER
    batch = Asked(prompt=["a", "b"])
    assert judge(batch, json.dumps({"choices": [{"index": 0, "text": "4"}]}).encode()).verdict.kind is Kind.NO_ANSWER


def _scored(values: list[Any], prompt_tokens: int | None = 3, generated: int = 1, **more: Any) -> bytes:
    logprobs = {"token_logprobs": values, "top_logprobs": [None, *({"a": -0.5} for _ in values[1:])], **more}
    choice = {"index": 0, "text": "a b c d", "finish_reason": "length", "logprobs": logprobs}
    usage = {"prompt_tokens": prompt_tokens, "completion_tokens": generated}
    return json.dumps({"choices": [choice], "usage": usage}).encode()


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (_scored([None, -1.0, -2.0, -3.0]), Kind.ANSWERED),
        (_scored([None, -1.0, -2.0]), Kind.LOGPROBS),
        (_scored([None, -1.0, -2.0, -3.0], prompt_tokens=4), Kind.LOGPROBS),
        (_scored([None, None, -2.0, -3.0]), Kind.LOGPROBS),
        (_scored([None, -1.0, -2.0, -3.0], top_logprobs=[{}]), Kind.LOGPROBS),
        (_scored([None, -1.0, -2.0, -3.0], top_logprobs=None), Kind.LOGPROBS),
        (_scored([None, -1.0, -2.0, -3.0], top_logprobs=[None, {"a": -0.5}, {}, {"a": -0.5}]), Kind.LOGPROBS),
        (_scored([None, -1.0, -2.0], generated=0), Kind.LOGPROBS),
        (_scored([None, -1.0, -2.0, -3.0], token_logprobs=None), Kind.LOGPROBS),
        (json.dumps({"choices": [{"text": "a", "logprobs": None}]}).encode(), Kind.LOGPROBS),
        (json.dumps({"choices": [{"text": "a", "logprobs": {"content": []}}]}).encode(), Kind.LOGPROBS),
    ],
)
def test_log_probabilities_have_to_fit(body: bytes, kind: Kind) -> None:
    asked = Asked(prompt=[7, 8, 9], echo=True, logprobs=1, max_tokens=1)
    judgement = judge(asked, body)
    assert judgement.verdict.kind is kind, judgement.verdict


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (429, b"", Kind.BUSY),
        (503, b"", Kind.BUSY),
        (529, b"overloaded", Kind.BUSY),
        (500, b"", Kind.SERVER_ERROR),
        (502, b"", Kind.SERVER_ERROR),
        (408, b"", Kind.SERVER_ERROR),
        (400, b'{"error": {"message": "maximum context length is 4096"}}', Kind.REJECTED),
        (401, b"", Kind.REJECTED),
        (404, b'{"detail": "Not Found"}', Kind.REJECTED),
        (404, b'{"error": {"message": "The model `x` does not exist.", "type": "NotFoundError"}}', Kind.WRONG_MODEL),
        (400, b'{"error": {"code": "model_not_found", "message": "no"}}', Kind.WRONG_MODEL),
        (307, b"", Kind.REJECTED),
    ],
)
def test_a_status_that_is_no_success(status: int, body: bytes, kind: Kind) -> None:
    verdict = judge_status(status, body)
    assert verdict is not None
    assert verdict.kind is kind
    assert verdict.detail.startswith(f"HTTP {status}: ")


def test_success_is_not_judged_by_its_status() -> None:
    assert judge_status(200, b"") is None
    assert judge_status(201, b"") is None


def test_other_routes_are_judged_by_their_form() -> None:
    assert judge_plain(b'{"data": []}').verdict.kind is Kind.ANSWERED
    assert judge_plain(b"[1, 2]").verdict.kind is Kind.ANSWERED
    assert judge_plain(b"<html>").verdict.kind is Kind.NO_ANSWER
    assert judge_plain(b'{"error": "no"}').verdict.kind is Kind.ERROR


def test_every_kind_has_a_treatment() -> None:
    assert set(DEFAULTS) == set(Kind)
    assert {kind for kind in Kind if Rules({}).is_scored(kind)} == {
        Kind.ANSWERED,
        Kind.CUT_OFF,
        Kind.EMPTY,
        Kind.REFUSED,
    }


def test_what_is_no_answer_can_never_be_scored() -> None:
    for kind in NEVER_SCORED:
        with pytest.raises(ValueError, match="is never scored"):
            Rules({kind: Treatment.COUNTED})
    assert Rules({Kind.FILTERED: Treatment.COUNTED}).is_scored(Kind.FILTERED)
    assert not Rules({Kind.EMPTY: Treatment.FAILURE}).is_scored(Kind.EMPTY)
    assert not Rules({Kind.ABORTED: Treatment.FAILURE}).is_scored(Kind.ABORTED)


def test_the_first_in_the_order_of_judging_decides() -> None:
    assert worst([Verdict(Kind.ANSWERED), Verdict(Kind.EMPTY), Verdict(Kind.CUT_OFF)]).kind is Kind.CUT_OFF
