"""What the model said to each sample, from Inspect's log."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from inspect_ai.event import ModelEvent
from inspect_ai.log import EvalLog, EvalSample

from ..shared.samples import Sample
from .replies import reply_facts
from .results import sample_metrics


def build_samples(task: str, log: EvalLog, samples: Sequence[EvalSample]) -> Iterator[Sample]:
    """Yield the samples, in the order of epochs and of the dataset."""
    order = {str(one): number for number, one in enumerate(log.eval.dataset.sample_ids or [])}
    for sample in sorted(samples, key=lambda one: (one.epoch, order.get(str(one.id), len(order)))):
        yield Sample(
            task=task,
            doc_id=sample.id,
            repeat=sample.epoch - 1,
            prompt=_prompt(sample),
            answer=sample.output.completion if sample.output.choices else None,
            expected=sample.target,
            extracted=_extracted(sample),
            metrics=sample_metrics(log, sample),
            reply=reply_facts(sample, log.eval.model),
        )


def _prompt(sample: EvalSample) -> str:
    """The first request as text; chats with more than a user's message name the roles."""
    first = next((event for event in sample.events if isinstance(event, ModelEvent)), None)
    given: Any = first.input if first else sample.input
    if isinstance(given, str):
        return given
    if len(given) == 1:
        return str(given[0].text)
    return "\n\n".join(f"<{message.role}>\n{message.text}" for message in given)


def _extracted(sample: EvalSample) -> Mapping[str, str | None]:
    """What each scorer took for the answer."""
    return {name: score.answer for name, score in (sample.scores or {}).items()}
