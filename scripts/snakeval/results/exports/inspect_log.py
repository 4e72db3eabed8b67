"""Results as logs of Inspect (inspect-ai, log format 2): one JSON file per deployment and task, for `inspect view`."""

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

from snakeval.harnesses.base import Metric
from snakeval.results.exports.inspect_form import (
    Choice,
    Dataset,
    Generation,
    Limits,
    Log,
    LogMetric,
    LogSample,
    LogScore,
    Message,
    Output,
    Plan,
    SampleScore,
    Scores,
    Spec,
    Stats,
    Step,
    Usage,
)
from snakeval.results.measured import Measured, Scored, scored
from snakeval.results.metrics import names_in_samples
from snakeval.results.result import Result
from snakeval.results.samples import Sample, as_text
from snakeval.system.files import write_text
from snakeval.system.hashing import sha256_hex

_STOP = {"stop": "stop", "length": "max_tokens", "content_filter": "content_filter", "tool_calls": "tool_calls"}
_ROLE = re.compile(r"\n\n<(system|user|assistant)>\n")
_ID_LENGTH = 22


def write_inspect_logs(measured: Sequence[Measured], folder: Path, _log: IO[str]) -> None:
    """Write the log of every result; what is missing has none."""
    for one in scored(measured):
        created = one.result.times.started_at.split(".")[0].replace(":", "-")
        task = re.sub(r"[^A-Za-z0-9.-]+", "-", f"{one.deployment.name}-{one.task.name}")
        text = json.dumps(make_log(one), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
        write_text(folder / f"{created}+00-00_{task}_{_log_id(one)}.json", text)


def make_log(scored: Scored) -> Log:
    """Return the content of a log.

    Repeats are Inspect's epochs; every metric and filter is one of its scorers.
    """
    result = scored.result
    samples = list(_samples(scored))
    generation = _generation(result)
    return Log(
        version=2,
        status="success",
        eval=_spec(scored, [sample["id"] for sample in samples if sample["epoch"] == 1]),
        plan=Plan(name="plan", steps=[Step(solver="generate", params={})], config=generation),
        results=Scores(
            total_samples=result.samples.asked * result.repeats,
            completed_samples=result.samples.answered * result.repeats,
            scores=[_score(metric) for metric in result.metrics],
        ),
        stats=Stats(
            started_at=result.times.started_at,
            completed_at=result.times.ended_at,
            model_usage=_usage(result.tokens.prompt, result.tokens.completion, _model(scored)),
        ),
        samples=samples,
    )


def _log_id(one: Scored) -> str:
    return sha256_hex(f"{one.fingerprint} {one.result.times.started_at}", _ID_LENGTH)


def _spec(one: Scored, ids: list[int | str]) -> Spec:
    result = one.result
    return Spec(
        eval_id=_log_id(one),
        run_id=sha256_hex(one.run, _ID_LENGTH),
        created=result.times.started_at,
        task=one.task.name,
        task_id=_log_id(one),
        task_version=0,
        task_attribs={},
        task_args={"harness": one.task.harness, "harness_task": one.task.task},
        tags=[f"run:{one.run}", f"deployment:{one.deployment.name}"],
        dataset=Dataset(
            name=one.task.task,
            samples=result.samples.asked,
            sample_ids=list(dict.fromkeys(ids)),
            shuffled=False,
        ),
        model=_model(one),
        model_generate_config=_generation(result),
        model_args={},
        config=Limits(limit=result.limit, epochs=result.repeats),
        packages={name: version for name, version in result.versions.items() if isinstance(version, str)},
        metadata={
            "run": one.run,
            "deployment": one.deployment.name,
            "deployment_type": one.deployment.type,
            "protocol": result.protocol,
            "fingerprint": {"deployment": result.fingerprint.deployment, "task": result.fingerprint.task},
            "settings": result.settings,
        },
    )


def _model(one: Measured) -> str:
    """Return Inspect's name of a model behind an OpenAI-compatible endpoint."""
    return f"openai-api/{one.deployment.name}/{one.deployment.served_model_name}"


def _generation(result: Result) -> Generation:
    settings, config = result.settings, Generation()
    if settings.get("temperature") is not None:
        config["temperature"] = settings["temperature"]
    if settings.get("top_p") is not None:
        config["top_p"] = settings["top_p"]
    if settings.get("max_new_tokens") is not None:
        config["max_tokens"] = settings["max_new_tokens"]
    if settings.get("seed") is not None:
        config["seed"] = settings["seed"]
    if settings.get("system_prompt"):
        config["system_message"] = settings["system_prompt"]
    return config


def _usage(given: int | None, made: int | None, model: str) -> dict[str, Usage]:
    if given is None and made is None:
        return {}
    counts = Usage(input_tokens=given or 0, output_tokens=made or 0, total_tokens=(given or 0) + (made or 0))
    return {model: counts}


def _score(metric: Metric) -> LogScore:
    name = names_in_samples(metric)[-1]
    name = name if metric.subtask is None else f"{metric.subtask}/{name}"
    numbers = {"mean": metric.value, "stderr": metric.stderr, "ci_low": metric.ci_low, "ci_high": metric.ci_high}
    return LogScore(
        name=name,
        scorer=name,
        scored_samples=metric.n,
        metrics={part: LogMetric(name=part, value=value) for part, value in numbers.items() if value is not None},
        metadata={"higher_is_better": metric.higher_is_better, "ci_method": metric.ci_method},
    )


def _samples(one: Scored) -> Iterator[LogSample]:
    grouped = any(metric.subtask is not None for metric in one.result.metrics)
    for position, sample in enumerate(one.samples()):
        doc_id, prompt = sample.id_or(position), as_text(sample.prompt)
        messages = chat_messages(prompt)
        answer = Message(role="assistant", content=as_text(sample.answer), source="generate")
        yield LogSample(
            id=f"{sample.task}/{doc_id}" if grouped and sample.task is not None else doc_id,
            epoch=(_count(sample.repeat) or 0) + 1,
            input=messages if len(messages) > 1 else prompt,
            target=as_text(sample.expected),
            messages=[*messages, answer],
            output=_output(sample, _model(one)),
            scores=_scores(sample),
            metadata={"task": sample.task} if sample.task is not None else {},
            model_usage=_usage_of_sample(sample, _model(one)),
            total_time=_seconds(sample.latency_s),
        )


def chat_messages(prompt: str) -> list[Message]:
    """Return the messages of a prompt; samples have chats of several messages as one text with the roles in it."""
    parts = _ROLE.split(f"\n\n{prompt}")
    if parts[0] or len(parts) == 1:
        return [Message(role="user", content=prompt, source="input")]
    pairs = zip(parts[1::2], parts[2::2], strict=True)
    return [Message(role=role, content=text, source="input") for role, text in pairs]


def _output(sample: Sample, model: str) -> Output:
    answer = as_text(sample.answer)
    message = Message(role="assistant", content=answer, source="generate", model=model)
    return Output(
        model=model,
        choices=[Choice(message=message, stop_reason=_STOP.get(str(sample.finish_reason), "unknown"))],
        completion=answer,
        usage=_usage_of_sample(sample, model).get(model),
        time=_seconds(sample.latency_s),
    )


def _scores(sample: Sample) -> dict[str, SampleScore]:
    answer = as_text(sample.answer)
    # No filter needs no name.
    return {
        name.removesuffix("[none]"): SampleScore(value=value, answer=answer)
        for name, value in (sample.metrics or {}).items()
    }


def _usage_of_sample(sample: Sample, model: str) -> dict[str, Usage]:
    return _usage(_count(sample.prompt_tokens), _count(sample.completion_tokens), model)


def _count(value: Any) -> int | None:
    """A program of the user's may write anything here; what is no count says nothing."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _seconds(value: float | None) -> float | None:
    return None if value is None or isinstance(value, bool) else float(value)
