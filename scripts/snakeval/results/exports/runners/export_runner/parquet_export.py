"""Writes results.parquet, one row per metric, and samples.parquet, one row per sample and repeat."""

import gzip
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

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


def export(request: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Write both files into the folder of the request; nothing is sent."""
    folder = Path(request["folder"])
    schema = pa.schema([(name, _TYPES[kind]) for name, kind in request["columns"].items()])
    pq.write_table(pa.Table.from_pylist(request["rows"], schema), folder / "results.parquet")
    with pq.ParquetWriter(folder / "samples.parquet", _SAMPLES) as writer:
        for entry in request["entries"]:
            batch: list[dict[str, Any]] = []
            for row in _rows(entry):
                batch.append(row)
                if len(batch) == _BATCH:
                    writer.write_table(pa.Table.from_pylist(batch, _SAMPLES))
                    batch = []
            if batch:
                writer.write_table(pa.Table.from_pylist(batch, _SAMPLES))
    return []


def _rows(entry: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    names = {name: entry[name] for name in ("run", "deployment", "task")}
    with gzip.open(entry["samples"], "rt", encoding="utf-8") as lines:
        for line in lines:
            sample = json.loads(line)
            metrics = sample.get("metrics") or {}
            yield {
                **names,
                "harness_task": _text(sample.get("task")),
                "doc_id": _text(sample.get("doc_id")),
                "repeat": _number(sample.get("repeat"), int),
                "metrics": [(name, float(value)) for name, value in metrics.items() if isinstance(value, int | float)],
                "latency_s": _number(sample.get("latency_s"), float),
                **{name: _text(sample.get(name)) for name in ("prompt", "answer", "expected", "finish_reason")},
                **{name: _number(sample.get(name), int) for name in ("prompt_tokens", "completion_tokens")},
            }


def _text(value: Any) -> str | None:
    return value if value is None or isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _number(value: Any, kind: type) -> Any:
    """A program of the user's may write anything here; what is no number says nothing."""
    return kind(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
