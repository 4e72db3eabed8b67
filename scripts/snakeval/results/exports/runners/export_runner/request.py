"""What an exporter is asked for and answers: the JSON that `snakeval.results.exports.request` describes."""

from collections.abc import Mapping, Sequence
from typing import Any, TypedDict


class Entry(TypedDict):
    """What a tracker's run of a result is to hold."""

    deployment: str
    task: str
    name: str
    tags: Mapping[str, str]
    params: Mapping[str, Any]
    metrics: Mapping[str, float]
    artifacts: Sequence[str]
    artifact_name: str
    started_at_ms: int
    ended_at_ms: int


class MlflowSettings(TypedDict):
    """The keys of `export.mlflow` that its exporter reads."""

    tracking_uri: str
    experiment_name: str


class WandbSettings(TypedDict):
    """The keys of `export.wandb` that its exporter reads."""

    base_url: str | None
    entity: str | None
    project: str
    group: str
    job_type: str | None
    description: str | None
    tags: Sequence[str]
    mode: str


class MlflowRequest(TypedDict):
    """Results for MLflow."""

    settings: MlflowSettings
    entries: Sequence[Entry]


class WandbRequest(TypedDict):
    """Results for Weights & Biases; `folder` is where what is not sent waits for `wandb sync`."""

    folder: str
    settings: WandbSettings
    entries: Sequence[Entry]


class SamplesFile(TypedDict):
    """The samples of a task on a deployment."""

    run: str
    deployment: str
    task: str
    samples: str


class ParquetRequest(TypedDict):
    """Tables: names of columns with their types, rows, and the files of samples."""

    folder: str
    columns: Mapping[str, str]
    rows: Sequence[Mapping[str, str | float | bool | None]]
    entries: Sequence[SamplesFile]


class Sent(TypedDict):
    """A run of a tracker; `action` is "created", "updated" or, for `wandb sync`, "written"."""

    deployment: str
    task: str
    id: str
    url: str | None
    action: str
