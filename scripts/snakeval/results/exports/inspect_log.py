"""Results as logs of Inspect (inspect-ai, log format 2): one JSON file per deployment and task, for `inspect view`."""

import hashlib
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from snakeval.results.exports.measured import Measured, as_text, sample_id
from snakeval.system.files import write_text

_STOP = {"stop": "stop", "length": "max_tokens", "content_filter": "content_filter", "tool_calls": "tool_calls"}
_ROLE = re.compile(r"\n\n<(system|user|assistant)>\n")
_ID_LENGTH = 22
Content = dict[str, Any]


def write_inspect_logs(found: Sequence[Measured], folder: Path, _log: IO[str]) -> None:
    """Write the log of every result; what is missing has none."""
    for one in found:
        if one.result is not None:
            log = make_log(one, one.result)
            created = log["eval"]["created"].split(".")[0].replace(":", "-")
            task = re.sub(r"[^A-Za-z0-9.-]+", "-", f"{one.deployment.name}-{one.task.name}")
            text = json.dumps(log, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
            write_text(folder / f"{created}+00-00_{task}_{log['eval']['task_id']}.json", text)


def make_log(one: Measured, result: Mapping[str, Any]) -> Content:
    """Return the content of a log.

    Repeats are Inspect's epochs; every metric and filter is one of its scorers.
    """
    samples = list(_samples(one, result))
    scores = [_score(metric) for metric in result["metrics"]]
    return {
        "version": 2,
        "status": "success",
        "eval": _spec(one, result, [sample["id"] for sample in samples if sample["epoch"] == 1]),
        "plan": {"name": "plan", "steps": [{"solver": "generate", "params": {}}], "config": _generation(result)},
        "results": {
            "total_samples": result["samples"]["asked"] * result["repeats"],
            "completed_samples": result["samples"]["answered"] * result["repeats"],
            "scores": scores,
        },
        "stats": {
            "started_at": result["times"]["started_at"],
            "completed_at": result["times"]["ended_at"],
            "model_usage": _usage(result["tokens"], _model(one)),
        },
        "samples": samples,
    }


def _spec(one: Measured, result: Mapping[str, Any], ids: list[int | str]) -> Content:
    unique = hashlib.sha256(f"{one.fingerprint} {result['times']['started_at']}".encode()).hexdigest()[:_ID_LENGTH]
    packages = {name: str(version) for name, version in result["versions"].items() if isinstance(version, str)}
    return {
        "eval_id": unique,
        "run_id": hashlib.sha256(one.run.encode()).hexdigest()[:_ID_LENGTH],
        "created": result["times"]["started_at"],
        "task": one.task.name,
        "task_id": unique,
        "task_version": 0,
        "task_attribs": {},
        "task_args": {"harness": one.task.harness, "harness_task": one.task.task},
        "tags": [f"run:{one.run}", f"deployment:{one.deployment.name}"],
        "dataset": {
            "name": one.task.task,
            "samples": result["samples"]["asked"],
            "sample_ids": list(dict.fromkeys(ids)),
            "shuffled": False,
        },
        "model": _model(one),
        "model_generate_config": _generation(result),
        "model_args": {},
        "config": {"limit": result["limit"], "epochs": result["repeats"]},
        "packages": packages,
        "metadata": {
            "run": one.run,
            "deployment": one.deployment.name,
            "deployment_type": one.deployment.type,
            "protocol": result["protocol"],
            "fingerprint": {name: result["fingerprint"][name] for name in ("deployment", "task")},
            "settings": result["settings"],
        },
    }


def _model(one: Measured) -> str:
    """Return Inspect's name of a model behind an OpenAI-compatible endpoint."""
    return f"openai-api/{one.deployment.name}/{one.deployment.served_model_name}"


def _generation(result: Mapping[str, Any]) -> Content:
    names = {"temperature": "temperature", "top_p": "top_p", "max_new_tokens": "max_tokens", "seed": "seed"}
    settings = result["settings"]
    config = {theirs: settings[ours] for ours, theirs in names.items() if settings.get(ours) is not None}
    prompt = settings.get("system_prompt")
    return {**config, "system_message": prompt} if prompt else config


def _usage(tokens: Mapping[str, int | None], model: str) -> Content:
    given, made = tokens["prompt"], tokens["completion"]
    if given is None and made is None:
        return {}
    return {model: {"input_tokens": given or 0, "output_tokens": made or 0, "total_tokens": (given or 0) + (made or 0)}}


def _score(metric: Mapping[str, Any]) -> Content:
    name = _scorer(f"{metric['name']}[{metric['filter'] or 'none'}]")
    name = name if metric["subtask"] is None else f"{metric['subtask']}/{name}"
    numbers = {"mean": metric["value"], **{part: metric.get(part) for part in ("stderr", "ci_low", "ci_high")}}
    known = {part: {"name": part, "value": value} for part, value in numbers.items() if value is not None}
    about = {"higher_is_better": metric["higher_is_better"], "ci_method": metric.get("ci_method")}
    return {"name": name, "scorer": name, "scored_samples": metric["n"], "metrics": known, "metadata": about}


def _scorer(name: str) -> str:
    """Return a sample's name of a metric; no filter needs no name."""
    return name.removesuffix("[none]")


def _samples(one: Measured, result: Mapping[str, Any]) -> Iterator[Content]:
    grouped = any(metric["subtask"] is not None for metric in result["metrics"])
    for position, sample in enumerate(one.samples()):
        task, doc_id, repeat = sample.get("task"), sample_id(sample, position), _count(sample.get("repeat"))
        messages = chat_messages(as_text(sample.get("prompt")))
        answer = {"role": "assistant", "content": as_text(sample.get("answer")), "source": "generate"}
        yield {
            "id": f"{task}/{doc_id}" if grouped and isinstance(task, str) else doc_id,
            "epoch": (repeat or 0) + 1,
            "input": messages if len(messages) > 1 else as_text(sample.get("prompt")),
            "target": as_text(sample.get("expected")),
            "messages": [*messages, answer],
            "output": _output(sample, _model(one)),
            "scores": _scores(sample),
            "metadata": {"task": task} if isinstance(task, str) else {},
            "model_usage": _usage(_tokens(sample), _model(one)),
            "total_time": _seconds(sample.get("latency_s")),
        }


def chat_messages(prompt: str) -> list[Content]:
    """Return the messages of a prompt; samples have chats of several messages as one text with the roles in it."""
    parts = _ROLE.split(f"\n\n{prompt}")
    if parts[0] or len(parts) == 1:
        return [{"role": "user", "content": prompt, "source": "input"}]
    pairs = zip(parts[1::2], parts[2::2], strict=True)
    return [{"role": role, "content": text, "source": "input"} for role, text in pairs]


def _output(sample: Mapping[str, Any], model: str) -> Content:
    answer = as_text(sample.get("answer"))
    message = {"role": "assistant", "content": answer, "source": "generate", "model": model}
    reason = _STOP.get(str(sample.get("finish_reason")), "unknown")
    usage = _usage(_tokens(sample), model).get(model)
    choice = {"message": message, "stop_reason": reason}
    return {
        "model": model,
        "choices": [choice],
        "completion": answer,
        "usage": usage,
        "time": _seconds(sample.get("latency_s")),
    }


def _scores(sample: Mapping[str, Any]) -> Content:
    metrics = sample.get("metrics")
    found = metrics.items() if isinstance(metrics, Mapping) else ()
    return {
        _scorer(name): {"value": value, "answer": as_text(sample.get("answer"))}
        for name, value in found
        if isinstance(value, int | float) and math.isfinite(value)
    }


def _tokens(sample: Mapping[str, Any]) -> dict[str, int | None]:
    return {kind: _count(sample.get(f"{kind}_tokens")) for kind in ("prompt", "completion")}


def _count(value: Any) -> int | None:
    """A program of the user's may write anything here; what is no count says nothing."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _seconds(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
