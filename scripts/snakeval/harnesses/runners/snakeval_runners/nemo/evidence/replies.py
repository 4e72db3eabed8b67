"""What the endpoint said beside the text of its answers."""

import json
from collections import defaultdict
from pathlib import Path

from ...shared.completion import read_completion
from ...shared.fields import Fields
from ...shared.samples import ReplyFacts
from ..journal import KeptAnswer, read_answers


class Replies:
    """The replies of the journal, found by the last text of the request."""

    def __init__(self, answers: Path) -> None:
        self._by_prompt: dict[str, list[ReplyFacts]] = defaultdict(list)
        for kept in read_answers(answers):
            self._by_prompt[_last_text(kept.request)].append(reply_facts(kept))

    def of(self, prompt: str) -> ReplyFacts:
        """Return the facts of the only reply to a prompt; unknown when there are several, or none."""
        replies = self._by_prompt.get(prompt, [])
        return replies[0] if len(replies) == 1 else ReplyFacts()


def _last_text(request: Fields) -> str:
    messages = request.list_or_empty("messages")
    if messages:
        return str(Fields(messages[-1]).value("content"))
    prompt = request.value_or_none("prompt") or ""
    return str(prompt[0] if isinstance(prompt, list) and len(prompt) == 1 else prompt)


def reply_body(kept: KeptAnswer) -> Fields:
    """Return the endpoint's answer; the journal holds only what is one."""
    return Fields(json.loads(kept.answer.body))


def reply_facts(kept: KeptAnswer) -> ReplyFacts:
    """Return what a line of the journal says beside the text."""
    completion = read_completion(reply_body(kept))
    return ReplyFacts(
        finish_reason=completion.choices[0].finish_reason if completion.choices else None,
        prompt_tokens=completion.prompt_tokens,
        completion_tokens=completion.completion_tokens,
        latency_s=kept.answer.latency_s,
    )
