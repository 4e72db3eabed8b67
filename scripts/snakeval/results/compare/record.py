"""What a comparison's file holds: `schemas/comparison.schema.yaml` describes every key."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from snakeval import __version__
from snakeval.results.compare.differences import Setting
from snakeval.run.record import Record
from snakeval.system.checkout import SCHEMAS
from snakeval.system.files import write_json

SCHEMA_FILE = SCHEMAS / "comparison.schema.yaml"
BETTER, WORSE, EQUAL, INCOMPARABLE = "better", "worse", "not distinguishable", "incomparable"
VERDICTS = (BETTER, WORSE, EQUAL, INCOMPARABLE)


@dataclass(frozen=True)
class SideRecord:
    """A deployment of a run, and the folder of its results."""

    run: str
    deployment: str
    folder: str


@dataclass(frozen=True)
class ScoreRecord:
    """A score, its standard error (None when unknown) and the samples behind it."""

    value: float
    stderr: float | None
    n: int


@dataclass(frozen=True)
class SampleName:
    """A sample, as samples.jsonl.gz names it."""

    task: str | None
    doc_id: int | str


@dataclass(frozen=True)
class Flips:
    """Samples whose answer changed between right and wrong, from the baseline to the candidate."""

    right_to_wrong: tuple[SampleName, ...] = ()
    wrong_to_right: tuple[SampleName, ...] = ()


@dataclass(frozen=True, kw_only=True)
class TaskRecord:
    """One task of both sides; numbers are None where nothing could be compared."""

    task: str
    verdict: str
    reason: str
    metric: str | None = None
    filter: str | None = None
    higher_is_better: bool | None = None
    baseline: ScoreRecord | None = None
    candidate: ScoreRecord | None = None
    differences: tuple[Setting, ...] = ()
    n_shared: int | None = None
    difference: float | None = None
    stderr: float | None = None
    ci_low: float | None = None
    ci_high: float | None = None
    test: str | None = None
    p: float | None = None
    mde: float | None = None
    p_holm: float | None = None
    flips: Flips | None = None


@dataclass(frozen=True, kw_only=True)
class GateTask:
    """What the gate says to one task, or to an entry of the policy that names none."""

    task: str
    tier: str | None
    outcome: str
    reason: str
    drop: float | None = None
    drop_low: float | None = None
    drop_high: float | None = None
    limit: float | None = None


@dataclass(frozen=True)
class Gate:
    """What a policy says to a comparison."""

    policy: str
    policy_sha256: str
    verdict: str
    passed: bool
    reason: str
    tasks: tuple[GateTask, ...]


@dataclass(frozen=True, kw_only=True)
class ComparisonRecord(Record):
    """Two deployments compared task by task, with what a gate says to it.

    Attributes:
        counts: Verdict -> number of tasks.
    """

    name: str
    run: str
    candidate: SideRecord
    baseline: SideRecord
    alpha: float
    power: float
    seed: int
    deployment_differences: tuple[Setting, ...] = ()
    tasks: tuple[TaskRecord, ...]
    counts: Mapping[str, int]
    gate: Gate | None = None

    def write(self, path: Path) -> None:
        """Validate and write a comparison's file, atomically."""
        import jsonschema

        # What is checked is what is written, after its way through JSON.
        origin = {"schema_version": self.SCHEMA, "snakeval_version": __version__}
        content = json.loads(json.dumps({**origin, **self._content()}, allow_nan=False))
        schema = yaml.safe_load(SCHEMA_FILE.read_text(encoding="utf-8"))
        jsonschema.Draft202012Validator(schema).validate(content)
        write_json(path, content)
