"""What the endpoint said beside the text of its answers."""

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

from ..journal import read_lines

_UNKNOWN: dict[str, Any] = dict.fromkeys(("finish_reason", "prompt_tokens", "completion_tokens", "latency_s"))


class Replies:
    """The replies of the journal, found by the last text of the request."""

    def __init__(self, answers: Path) -> None:
        self._found: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for line in read_lines(answers):
            self._found[_last_text(line["request"])].append(reply_facts(line))

    def of(self, prompt: str) -> dict[str, Any]:
        """Return the facts of the only reply to a prompt; unknown when there are several, or none."""
        found = self._found.get(prompt, [])
        return found[0] if len(found) == 1 else _UNKNOWN


def _last_text(request: dict[str, Any]) -> str:
    if request.get("messages"):
        return str(request["messages"][-1]["content"])
    prompt = request.get("prompt", "")
    return str(prompt[0] if isinstance(prompt, list) and len(prompt) == 1 else prompt)


def reply_facts(line: dict[str, Any]) -> dict[str, Any]:
    """Return what a line of the journal says beside the text."""
    body = json.loads(line["body"])
    usage = body.get("usage") or {}
    choice = (body.get("choices") or [{}])[0]
    return {
        "finish_reason": choice.get("finish_reason"),
        "prompt_tokens": usage.get("prompt_tokens"),
        "completion_tokens": usage.get("completion_tokens"),
        "latency_s": line["latency_s"],
    }
