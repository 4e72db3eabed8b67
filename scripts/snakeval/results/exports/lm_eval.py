"""Results as lm-evaluation-harness 0.4.13 writes them: results_<time>.json and samples_<task>_<time>.jsonl per model.

The format is that of its EvaluationTracker. What lm-eval itself said of a task (its definition, shots, versions) is
taken from the harness's own file; keys that say nothing of an endpoint (device, git hash, ...) are null.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import cached_property, partial
from pathlib import Path
from typing import IO, Any

from snakeval.results.exports.lm_eval_samples import digest, merged, safe_name
from snakeval.results.exports.measured import Measured
from snakeval.system.files import read_json, write_text

_PARTS = ("results", "group_subtasks", "configs", "versions", "n-shot", "higher_is_better", "n-samples")


def write_lm_eval(found: Sequence[Measured], folder: Path, _log: IO[str]) -> None:
    """Write one folder per deployment; a deployment without any result has none."""
    for name in dict.fromkeys(one.deployment.name for one in found):
        measured = [one for one in found if one.deployment.name == name and one.result is not None]
        if measured:
            model = _Model(measured)
            own = folder / name
            own.mkdir()
            model.write(own)


class _Model:
    """The results of one deployment."""

    def __init__(self, measured: Sequence[Measured]) -> None:
        self.measured = measured
        names = Counter(name for one in measured for name in {one.task.name, *_subtasks(one)})
        # lm-eval has one name per task; the same subtask under other settings needs another.
        self._shared = {name for name, count in names.items() if count > 1}

    def write(self, folder: Path) -> None:
        """Write the files of the deployment."""
        hashes = {}
        for one in self.measured:
            for task, lines in merged(one.samples(), partial(self.name_of_sample, one)).items():
                text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
                write_text(folder / f"samples_{safe_name(task)}_{self.date}.jsonl", text)
                each = (line["doc_hash"] + line["prompt_hash"] + line["target_hash"] for line in lines)
                hashes[task] = digest("".join(each))
        content = {**self.results(), "task_hashes": hashes, **self.model()}
        write_text(folder / f"results_{self.date}.json", json.dumps(content, indent=2, ensure_ascii=False) + "\n")

    def name(self, one: Measured, subtask: str | None) -> str:
        """Return the task's or subtask's name in the files."""
        if subtask is None:
            return one.task.name
        return f"{one.task.name}.{subtask}" if subtask in self._shared else subtask

    def name_of_sample(self, one: Measured, task: str | None) -> str:
        """Return the same for a sample, which has the harness's name of its task."""
        return self.name(one, task if task in _subtasks(one) else None)

    def results(self) -> dict[str, Any]:
        """Return what lm-eval's evaluator says."""
        content: dict[str, Any] = {name: {} for name in _PARTS}
        for one in self.measured:
            self._add(content, one)
        first, settings = self.first, self.first["settings"]
        names = ("temperature", "top_p", "max_new_tokens", "stop")
        generation = {name: settings[name] for name in names if name in settings}
        content["config"] = {
            "model": self.source,
            "model_args": {"model": first["served_model_name"]},
            **dict.fromkeys(("batch_size", "device", "use_cache", "bootstrap_iters")),
            "batch_sizes": [],
            "limit": first["limit"],
            "gen_kwargs": generation or None,
            **{f"{name}_seed": settings.get("seed") for name in ("random", "numpy", "torch", "fewshot")},
        }
        nothing = dict.fromkeys(("git_hash", "transformers_version", "upper_git_hash"))
        version = next((found for one in self.measured if (found := _result(one)["versions"].get("lm_eval"))), None)
        about = f"snakeval {first['versions']['snakeval']}"
        return {**content, **nothing, "date": self.began, "pretty_env_info": about, "lm_eval_version": version}

    def _add(self, content: dict[str, Any], one: Measured) -> None:
        result, native = _result(one), _native(one)
        for metric in result["metrics"]:
            subtask, task = metric["subtask"], self.name(one, metric["subtask"])
            theirs, kind = subtask or one.task.task, metric["filter"] or "none"
            entry = content["results"].setdefault(task, {"name": task, "alias": task, "sample_len": metric["n"]})
            entry[f"{metric['name']},{kind}"] = metric["value"]
            entry[f"{metric['name']}_stderr,{kind}"] = "N/A" if metric["stderr"] is None else metric["stderr"]
            content["higher_is_better"].setdefault(task, {})[metric["name"]] = metric["higher_is_better"]
            shots, settings = native.get("n-shot", {}).get(theirs), result["settings"]
            content["n-shot"][task] = settings.get("num_fewshot", 0) if shots is None else shots
            version = native.get("versions", {}).get(theirs, (result["versions"].get("task") or {}).get(theirs, "N/A"))
            content["versions"][task] = version
            counted = {"original": metric["n"], "effective": metric["n"]}
            content["n-samples"][task] = native.get("n-samples", {}).get(theirs, counted)
            config = native.get("configs", {}).get(theirs) or {"metadata": {"version": version}}
            content["configs"][task] = {**config, "task": task, "repeats": one.task.repeats}
        if members := [self.name(one, subtask) for subtask in _subtasks(one)]:
            content["group_subtasks"][one.task.name] = members
            if one.task.name in content["results"]:
                content.setdefault("groups", {})[one.task.name] = content["results"][one.task.name]

    def model(self) -> dict[str, Any]:
        """Return what lm-eval's tracker says of the model."""
        name, prompt = str(self.first["served_model_name"]), self.first["settings"].get("system_prompt")
        return {
            "model_source": self.source,
            "model_name": name,
            "model_name_sanitized": safe_name(name),
            "system_instruction": prompt,
            "system_instruction_sha": digest(prompt) if prompt else None,
            "fewshot_as_multiturn": self.first["protocol"] == "chat",
            "chat_template": None,
            "chat_template_sha": None,
            "start_time": self.began,
            "end_time": self.ended.timestamp(),
            "total_evaluation_time_seconds": str(self.ended.timestamp() - self.began),
        }

    @property
    def first(self) -> Mapping[str, Any]:
        """The first result; what lm-eval knows once per file is taken from it."""
        return _result(self.measured[0])

    @property
    def source(self) -> str:
        """lm-eval's name of the kind of endpoint."""
        return "local-chat-completions" if self.first["protocol"] == "chat" else "local-completions"

    @property
    def began(self) -> float:
        """When the first task began, in seconds since 1970."""
        return min(datetime.fromisoformat(_result(one)["times"]["started_at"]).timestamp() for one in self.measured)

    @cached_property
    def ended(self) -> datetime:
        """When the last task ended."""
        return max(datetime.fromisoformat(_result(one)["times"]["ended_at"]) for one in self.measured)

    @property
    def date(self) -> str:
        """The time in file names, of lm-eval's form."""
        plain = self.ended.astimezone(UTC).replace(tzinfo=None)
        return plain.isoformat(timespec="microseconds").replace(":", "-")


def _native(one: Measured) -> Mapping[str, Any]:
    """Return what lm-eval wrote itself, empty for another harness."""
    content = read_json(one.files.harness / "lm_eval" / "results_0.json")
    return content if isinstance(content, dict) else {}


def _result(one: Measured) -> Mapping[str, Any]:
    assert one.result is not None
    return one.result


def _subtasks(one: Measured) -> list[str]:
    return list(dict.fromkeys(metric["subtask"] for metric in _result(one)["metrics"] if metric["subtask"] is not None))
