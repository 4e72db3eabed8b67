"""What the model said to each sample, from the passes of lm-eval."""

import json
from collections.abc import Iterator, Sequence

from ..shared.replies import joined
from ..shared.samples import ReplyFacts, Sample
from .passes import Entry, Pass


def build_samples(passes: Sequence[Pass]) -> Iterator[Sample]:
    """Yield the samples of every pass; lm-eval has one entry per sample and filter, those of a sample are joined."""
    for repeat, results in enumerate(passes):
        for task in results.samples:
            for doc_id, entries in results.by_sample(task).items():
                first = entries[0]
                yield Sample(
                    task=task,
                    doc_id=doc_id,
                    repeat=repeat,
                    prompt=_prompt(first.arguments[0][0]),
                    answer=_answer(first),
                    expected=_expected(first),
                    metrics={
                        f"{metric}[{entry.filter}]": float(value)
                        for entry in entries
                        for metric, value in entry.metrics.items()
                        if hasattr(value, "__float__")
                    },
                    reply=joined(_kept_facts(first)),
                )


def _prompt(argument: object) -> str:
    """The prompt as text; chats with more than a user's message name the roles."""
    encoded = getattr(argument, "prompt", None)
    if encoded is None:
        return str(argument)
    messages = json.loads(encoded)
    if len(messages) == 1:
        return str(messages[0]["content"])
    return "\n\n".join(f"<{message['role']}>\n{message['content']}" for message in messages)


def _answer(entry: Entry) -> str | list[str] | None:
    """The generated text (several if the task itself asks for several), or the likeliest of several choices."""
    responses = entry.responses
    first = responses[0]
    if first and isinstance(first[0], str):
        return str(first[0]) if len(first) == 1 else [str(text) for text in first]
    if len(responses) > 1 and isinstance(first[0], tuple):
        best = max(range(len(responses)), key=lambda index: responses[index][0][0])
        return str(entry.arguments[best][1]).strip()
    return None


def _expected(entry: Entry) -> object:
    target, arguments = entry.target, entry.arguments
    if isinstance(target, int) and len(arguments) > 1 and 0 <= target < len(arguments):
        return str(arguments[target][1]).strip()
    return target


def _kept_facts(entry: Entry) -> list[ReplyFacts]:
    kept = [getattr(answer, "facts", None) for answers in entry.responses for answer in answers]
    return [one for one in kept if one is not None]
