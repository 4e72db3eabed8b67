"""Results as lm-evaluation-harness 0.4.13 writes them: results_<time>.json and samples_<task>_<time>.jsonl per model.

The format is that of its EvaluationTracker. The harness's own file says what lm-eval knows of a task (its definition,
shots, versions). Keys that say nothing of an endpoint (device, git hash, ...) are null.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import cached_property, partial
from pathlib import Path
from typing import IO

import msgspec

from snakeval.harnesses.base import Metric
from snakeval.results.exports.lm_eval_samples import digest, merged, safe_name
from snakeval.results.measured import Measured, Scored, scored
from snakeval.results.result import FreeJson, Result
from snakeval.system.files import read_json, write_text

_Version = str | int | float | None


class _Native(msgspec.Struct, frozen=True, rename={"n_shot": "n-shot", "n_samples": "n-samples"}):
    """What lm-eval wrote itself of its tasks, by its names of them."""

    configs: Mapping[str, FreeJson] = {}
    versions: Mapping[str, _Version] = {}
    n_shot: Mapping[str, int | None] = {}
    n_samples: Mapping[str, Mapping[str, int]] = {}


class _Tables(msgspec.Struct, rename={"n_shot": "n-shot", "n_samples": "n-samples"}):
    """What lm-eval's evaluator says of tasks, by their names in the files."""

    results: dict[str, dict[str, str | float]] = {}
    group_subtasks: dict[str, list[str]] = {}
    configs: dict[str, FreeJson] = {}
    versions: dict[str, _Version] = {}
    n_shot: dict[str, int] = {}
    higher_is_better: dict[str, dict[str, bool | None]] = {}
    n_samples: dict[str, Mapping[str, int]] = {}
    groups: dict[str, dict[str, str | float]] | msgspec.UnsetType = msgspec.UNSET


def write_lm_eval(measured: Sequence[Measured], folder: Path, _log: IO[str]) -> None:
    """Write one folder per deployment; a deployment without any result has none."""
    by_deployment: dict[str, list[Scored]] = {}
    for one in scored(measured):
        by_deployment.setdefault(one.deployment.name, []).append(one)
    for name, results in by_deployment.items():
        (folder / name).mkdir()
        _Model(results).write(folder / name)


class _Model:
    """The results of one deployment."""

    def __init__(self, measured: Sequence[Scored]) -> None:
        self.measured = measured
        names = Counter(name for one in measured for name in {one.task.name, *_subtasks(one)})
        # lm-eval has one name per task; the same subtask under other settings needs another.
        self._shared = {name for name, count in names.items() if count > 1}

    def write(self, folder: Path) -> None:
        """Write the files of the deployment."""
        hashes = {}
        for one in self.measured:
            for task, lines in merged(one.samples(), partial(self.name_of_sample, one)).items():
                text = "".join(json.dumps(line.as_json(), ensure_ascii=False) + "\n" for line in lines)
                write_text(folder / f"samples_{safe_name(task)}_{self.date}.jsonl", text)
                hashes[task] = digest("".join("".join(line.hashes) for line in lines))
        content = self.content(hashes)
        write_text(folder / f"results_{self.date}.json", json.dumps(content, indent=2, ensure_ascii=False) + "\n")

    def name(self, scored: Scored, subtask: str | None) -> str:
        """Return the task's or subtask's name in the files."""
        if subtask is None:
            return scored.task.name
        return f"{scored.task.name}.{subtask}" if subtask in self._shared else subtask

    def name_of_sample(self, scored: Scored, task: str | None) -> str:
        """Return the same for a sample, which has the harness's name of its task."""
        return self.name(scored, task if task in _subtasks(scored) else None)

    def content(self, hashes: Mapping[str, str]) -> FreeJson:
        """Return the content of the results' file: what lm-eval's evaluator says, then what its tracker adds.

        Args:
            hashes: Of the samples, by the task's name in the files.
        """
        first, settings = self.first, self.first.settings
        names = ("temperature", "top_p", "max_new_tokens", "stop")
        generation = {name: settings[name] for name in names if name in settings}
        prompt = settings.get("system_prompt")
        return {
            **msgspec.to_builtins(self._tables()),
            "config": {
                "model": self.source,
                "model_args": {"model": first.served_model_name},
                **dict.fromkeys(("batch_size", "device", "use_cache", "bootstrap_iters")),
                "batch_sizes": [],
                "limit": first.limit,
                "gen_kwargs": generation or None,
                **{f"{name}_seed": settings.get("seed") for name in ("random", "numpy", "torch", "fewshot")},
            },
            **dict.fromkeys(("git_hash", "transformers_version", "upper_git_hash")),
            "date": self.began,
            "pretty_env_info": f"snakeval {first.versions['snakeval']}",
            "lm_eval_version": next(filter(None, (one.result.versions.get("lm_eval") for one in self.measured)), None),
            "task_hashes": hashes,
            "model_source": self.source,
            "model_name": first.served_model_name,
            "model_name_sanitized": safe_name(first.served_model_name),
            "system_instruction": prompt,
            "system_instruction_sha": digest(prompt) if prompt else None,
            "fewshot_as_multiturn": first.protocol == "chat",
            "chat_template": None,
            "chat_template_sha": None,
            "start_time": self.began,
            "end_time": self.ended.timestamp(),
            "total_evaluation_time_seconds": str(self.ended.timestamp() - self.began),
        }

    def _tables(self) -> _Tables:
        tables = _Tables()
        for one in self.measured:
            self._add(tables, one)
        groups = {name: tables.results[name] for name in tables.group_subtasks if name in tables.results}
        if groups:
            tables.groups = groups
        return tables

    def _add(self, tables: _Tables, one: Scored) -> None:
        native = _native(one)
        for metric in one.result.metrics:
            self._add_metric(tables, one, metric, native)
        if members := [self.name(one, subtask) for subtask in _subtasks(one)]:
            tables.group_subtasks[one.task.name] = members

    def _add_metric(self, tables: _Tables, one: Scored, metric: Metric, native: _Native) -> None:
        result, task = one.result, self.name(one, metric.subtask)
        theirs, kind = metric.subtask or one.task.task, metric.filter or "none"
        entry = tables.results.setdefault(task, {"name": task, "alias": task, "sample_len": metric.n})
        entry[f"{metric.name},{kind}"] = metric.value
        entry[f"{metric.name}_stderr,{kind}"] = "N/A" if metric.stderr is None else metric.stderr
        tables.higher_is_better.setdefault(task, {})[metric.name] = metric.higher_is_better
        shots = native.n_shot.get(theirs)
        tables.n_shot[task] = result.settings.get("num_fewshot", 0) if shots is None else shots
        version = native.versions.get(theirs, (result.versions.get("task") or {}).get(theirs, "N/A"))
        tables.versions[task] = version
        tables.n_samples[task] = native.n_samples.get(theirs, {"original": metric.n, "effective": metric.n})
        config = native.configs.get(theirs) or {"metadata": {"version": version}}
        tables.configs[task] = {**config, "task": task, "repeats": one.task.repeats}

    @property
    def first(self) -> Result:
        """The first result; what lm-eval knows once per file is taken from it."""
        return self.measured[0].result

    @property
    def source(self) -> str:
        """lm-eval's name of the kind of endpoint."""
        return "local-chat-completions" if self.first.protocol == "chat" else "local-completions"

    @property
    def began(self) -> float:
        """When the first task began, in seconds since 1970."""
        return min(one.result.times.began.timestamp() for one in self.measured)

    @cached_property
    def ended(self) -> datetime:
        """When the last task ended."""
        return max(one.result.times.ended for one in self.measured)

    @property
    def date(self) -> str:
        """The time in file names, of lm-eval's form."""
        plain = self.ended.astimezone(UTC).replace(tzinfo=None)
        return plain.isoformat(timespec="microseconds").replace(":", "-")


def _native(one: Scored) -> _Native:
    """Return what lm-eval wrote itself, empty for another harness."""
    try:
        return msgspec.convert(read_json(one.files.harness / "lm_eval" / "results_0.json"), _Native)
    except msgspec.ValidationError:
        return _Native()


def _subtasks(one: Scored) -> list[str]:
    return list(dict.fromkeys(metric.subtask for metric in one.result.metrics if metric.subtask is not None))
