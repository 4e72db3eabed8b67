"""Writes results.parquet, one row per metric, and samples.parquet, one row per sample and repeat."""

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypedDict

import pyarrow as pa
import pyarrow.parquet as pq

from .request import ParquetRequest, SamplesFile, Sent

_TYPES = {"str": pa.string(), "float": pa.float64(), "int": pa.int64(), "bool": pa.bool_()}
_BATCH = 5000
_SAMPLES = pa.schema(
    [
        ("run", pa.string()),
        ("deployment", pa.string()),
        ("task", pa.string()),
        ("harness_task", pa.string()),
        ("doc_id", pa.string()),
        ("repeat", pa.int64()),
        ("prompt", pa.string()),
        ("answer", pa.string()),
        ("expected", pa.string()),
        ("metrics", pa.map_(pa.string(), pa.float64())),
        ("finish_reason", pa.string()),
        ("prompt_tokens", pa.int64()),
        ("completion_tokens", pa.int64()),
        ("latency_s", pa.float64()),
    ]
)


class _Row(TypedDict):
    run: str
    deployment: str
    task: str
    harness_task: str | None
    doc_id: str | None
    repeat: int | None
    prompt: str | None
    answer: str | None
    expected: str | None
    metrics: list[tuple[str, float]]
    finish_reason: str | None
    prompt_tokens: int | None
    completion_tokens: int | None
    latency_s: float | None


def export(request: ParquetRequest) -> list[Sent]:
    """Write both files into the folder of the request; nothing is sent."""
    folder = Path(request["folder"])
    schema = pa.schema([(name, _TYPES[kind]) for name, kind in request["columns"].items()])
    pq.write_table(pa.Table.from_pylist(request["rows"], schema), folder / "results.parquet")
    with pq.ParquetWriter(folder / "samples.parquet", _SAMPLES) as writer:
        for entry in request["entries"]:
            batch: list[_Row] = []
            for row in _rows(entry):
                batch.append(row)
                if len(batch) == _BATCH:
                    writer.write_table(pa.Table.from_pylist(batch, _SAMPLES))
                    batch = []
            if batch:
                writer.write_table(pa.Table.from_pylist(batch, _SAMPLES))
    return []


def _rows(entry: SamplesFile) -> Iterator[_Row]:
    with gzip.open(entry["samples"], "rt", encoding="utf-8") as lines:
        for line in lines:
            sample = json.loads(line)
            metrics = sample.get("metrics") or {}
            yield _Row(
                run=entry["run"],
                deployment=entry["deployment"],
                task=entry["task"],
                harness_task=_text(sample.get("task")),
                doc_id=_text(sample.get("doc_id")),
                repeat=_number(sample.get("repeat"), int),
                prompt=_text(sample.get("prompt")),
                answer=_text(sample.get("answer")),
                expected=_text(sample.get("expected")),
                metrics=[(name, float(value)) for name, value in metrics.items() if isinstance(value, int | float)],
                finish_reason=_text(sample.get("finish_reason")),
                prompt_tokens=_number(sample.get("prompt_tokens"), int),
                completion_tokens=_number(sample.get("completion_tokens"), int),
                latency_s=_number(sample.get("latency_s"), float),
            )


def _text(value: Any) -> str | None:
    return value if value is None or isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _number(value: Any, kind: type) -> Any:
    """A program of the user's may write anything here; what is no number says nothing."""
    return kind(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
