"""One line per sample and repeat (samples.jsonl), for people who want to see what the model said."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path

from .files import write_lines


@dataclass(frozen=True)
class ReplyFacts:
    """What the endpoint said of its answers beside their text, None where that is not known.

    Attributes:
        finish_reason: Of the first answer.
        prompt_tokens, completion_tokens: Sums over the sample's requests.
        latency_s: The same, in seconds.
    """

    finish_reason: str | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    latency_s: float | None = None


@dataclass(frozen=True)
class Sample:
    """One sample and repeat.

    Attributes:
        task: The part of the task that it belongs to, None for the task itself.
        doc_id: What the harness calls the sample.
        repeat: From 0.
        prompt: What was asked, a text where the harness tells one.
        answer: What came back: a text, several, calls of tools, or None.
        expected: The right answer, in the harness's own form.
        metrics: Values by name, or by `name[filter]`.
        reply: What is known of the answer beside its text.
        extracted: What each scorer took for the answer, None where the harness does not tell.
    """

    task: str | None
    doc_id: int | str
    repeat: int
    prompt: object
    answer: object
    expected: object
    metrics: Mapping[str, float]
    reply: ReplyFacts = ReplyFacts()
    extracted: Mapping[str, str | None] | None = None


def write_samples(path: Path, samples: Iterable[Sample]) -> None:
    """Write samples.jsonl."""
    write_lines(path, map(_line, samples))


def _line(sample: Sample) -> object:
    # Not asdict: it copies values, and harnesses put objects among them that cannot be copied.
    own = {field.name: getattr(sample, field.name) for field in fields(sample) if field.name != "reply"}
    if sample.extracted is None:
        del own["extracted"]
    return own | {field.name: getattr(sample.reply, field.name) for field in fields(sample.reply)}
