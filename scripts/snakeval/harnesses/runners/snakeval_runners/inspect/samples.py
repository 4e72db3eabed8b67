"""One line per sample and epoch, for people who want to see what the model said."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from inspect_ai.event import ModelEvent
from inspect_ai.log import EvalLog, EvalSample

from .results import sample_metrics


def write_samples(path: Path, task: str, log: EvalLog, samples: Sequence[EvalSample]) -> None:
    """Write samples.jsonl, in the order of epochs and of the dataset."""
    order = {str(one): number for number, one in enumerate(log.eval.dataset.sample_ids or [])}
    temporary = path.with_name(path.name + ".tmp")
    with temporary.open("w", encoding="utf-8", errors="replace") as file:
        for sample in sorted(samples, key=lambda one: (one.epoch, order.get(str(one.id), len(order)))):
            file.write(json.dumps(_line(task, log, sample), ensure_ascii=False, default=str) + "\n")
    temporary.replace(path)


def _line(task: str, log: EvalLog, sample: EvalSample) -> dict[str, Any]:
    choices = sample.output.choices
    usage = list((sample.model_usage or {}).values())
    return {
        "task": task,
        "doc_id": sample.id,
        "repeat": sample.epoch - 1,
        "prompt": _prompt(sample),
        "answer": sample.output.completion if choices else None,
        "expected": sample.target,
        "extracted": _extracted(sample),
        "metrics": sample_metrics(log, sample),
        "finish_reason": choices[0].stop_reason if choices else None,
        "prompt_tokens": sum(one.input_tokens for one in usage) if usage else None,
        "completion_tokens": sum(one.output_tokens for one in usage) if usage else None,
        "latency_s": round(sample.working_time, 3) if sample.working_time is not None else None,
    }


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
