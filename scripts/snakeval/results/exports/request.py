"""What an exporter is asked for, and what it answers; both are JSON, because it runs in an environment of its own."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from snakeval.results.result import FreeJson
from snakeval.results.rows import Cell


@dataclass(frozen=True, kw_only=True)
class Entry:
    """What a tracker's run of a result is to hold.

    Attributes:
        deployment, task: Names.
        name, tags, params, metrics: Of the run; MLflow's parameters are text alone.
        artifacts: Files to upload, as a W&B artifact of the name `artifact_name`.
        started_at_ms, ended_at_ms: Milliseconds since the epoch.
    """

    deployment: str
    task: str
    name: str
    tags: Mapping[str, str]
    params: FreeJson
    metrics: Mapping[str, float]
    artifacts: Sequence[str]
    artifact_name: str
    started_at_ms: int
    ended_at_ms: int


@dataclass(frozen=True)
class TrackerRequest:
    """Results for a tracker; what is not sent now waits in `folder`.

    Attributes:
        settings: The keys of the tracker, completed; its exporter knows them.
    """

    folder: str
    settings: FreeJson
    entries: Sequence[Entry]


@dataclass(frozen=True)
class SamplesFile:
    """The samples of a task on a deployment."""

    run: str
    deployment: str
    task: str
    samples: str


@dataclass(frozen=True)
class ParquetRequest:
    """Tables: columns with the names of their types, rows, and the files of samples."""

    folder: str
    columns: Mapping[str, str]
    rows: Sequence[Mapping[str, Cell]]
    entries: Sequence[SamplesFile]


@dataclass(frozen=True)
class Sent:
    """A run of a tracker; `action` is "created", "updated" or, for `wandb sync`, "written"."""

    deployment: str
    task: str
    id: str
    url: str | None
    action: str
