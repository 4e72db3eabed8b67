"""What of a run has to be the same whenever and however often it was interrupted, and how two runs differ."""

import gzip
import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from snakeval.run.paths import TaskPaths

Facts = Mapping[str, Any]


@dataclass(frozen=True)
class Baseline:
    """An undisturbed run.

    Attributes:
        config: Its configuration, as JSON.
        tasks: Facts of each task, by "deployment/task".
        answers: How often the stand-in server answered each request.
        total: How many answers there are in all.
        took_s: Wall time of the call.
    """

    config: str
    tasks: Mapping[str, Facts]
    answers: Mapping[str, int]
    total: int
    took_s: float

    def write(self, file: Path) -> None:
        """Keep it."""
        file.write_text(json.dumps(asdict(self)), encoding="utf-8")

    @classmethod
    def read(cls, file: Path, config: str) -> "Baseline | None":
        """Return the one that was kept, None when there is none or it is of another configuration."""
        kept = cls(**json.loads(file.read_text(encoding="utf-8"))) if file.exists() else None
        return kept if kept and kept.config == config else None


def facts_of(task: TaskPaths) -> Facts:
    """Return everything of a result that no interruption may change."""
    result = json.loads(task.result.read_text(encoding="utf-8"))
    with gzip.open(task.samples, "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    for row in rows:
        row.pop("latency_s", None)
    return {
        "metrics": result["metrics"],
        "counts": result["samples"],
        "settings": result["settings"] | {"limit": result["limit"]},
        "fingerprint": {part: result["fingerprint"][part] for part in ("deployment", "task")},
        "sample ids": sorted([str(row.get("doc_id")), row.get("repeat")] for row in rows),
        "rows": sorted(rows, key=lambda row: json.dumps(row, sort_keys=True)),
        "tokens": result["tokens"],
    }


def values_of_results(tasks: Mapping[str, Facts]) -> dict[str, Any]:
    """Return every value of every result, by a name that says whose it is."""
    return {
        f"{name}/{one['name']}/{one['filter']}/{one['subtask']}": one["value"]
        for name, facts in tasks.items()
        for one in facts["metrics"]
    }


def values_of_summary(file: Path) -> dict[str, Any]:
    """Return the values of summary.json, by the same names."""
    rows = json.loads(file.read_text(encoding="utf-8"))["rows"]
    return {f"{r['deployment']}/{r['task']}/{r['metric']}/{r['filter']}/{r['subtask']}": r["value"] for r in rows}


def answers_of(log: Path) -> dict[str, int]:
    """Return how often the stand-in servers answered each request, the probe's aside."""
    counts: Counter[str] = Counter()
    for line in log.read_text(encoding="utf-8").splitlines() if log.exists() else []:
        one = json.loads(line)
        if one["event"] == "sent" and one["key"] != "probe":
            counts[f"{one['deployment']}/{one['key']}"] += 1
    return dict(counts)


def digest_of(file: Path) -> str | None:
    """Return the digest of a file, None when it is missing."""
    return hashlib.sha256(file.read_bytes()).hexdigest() if file.exists() else None


def difference(expected: object, got: object) -> str:
    """Say how two facts differ."""
    if isinstance(expected, Sequence) and isinstance(got, Sequence):
        missing, extra = [one for one in expected if one not in got], [one for one in got if one not in expected]
        return f"{len(expected)} expected, {len(got)} found; missing {missing[:2]}, extra {extra[:2]}"
    return f"expected {expected}, found {got}"


def excerpt(text: str, word: str, count: int) -> str:
    """Return the lines after the first one that holds a word; the last ones when none does."""
    lines = text.splitlines()
    first = next((i for i, line in enumerate(lines) if word in line), max(0, len(lines) - count))
    return "\n".join(lines[max(0, first - 2) : first + count])[-2500:]
