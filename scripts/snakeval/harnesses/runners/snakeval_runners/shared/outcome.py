"""What a task came to, in the form that programs of harness `command` write too: outcome.json, or error.json.

schemas/command-result.schema.yaml describes the outcome to users.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

from .fields import Fields
from .files import write_json


@dataclass(frozen=True)
class ReportedMetric:
    """One number as a harness reports it.

    Attributes:
        name: The harness's name of it.
        filter: How answers were extracted, "none" or None when they were not.
        subtask: Member of a group of tasks, None for the task itself.
        value: The number.
        stderr: Its standard error, None when unknown.
        n: Samples behind it, repeats not counted.
        higher_is_better: None when the harness does not say.
    """

    name: str
    filter: str | None
    subtask: str | None
    value: float
    stderr: float | None
    n: int
    higher_is_better: bool | None


@dataclass(frozen=True)
class SampleCounts:
    """Samples, repeats not counted."""

    asked: int
    answered: int
    failed: int = 0


@dataclass(frozen=True)
class TokenCounts:
    """Sums over all requests, None when the endpoint does not count."""

    prompt: int | None = None
    completion: int | None = None


@dataclass(frozen=True)
class RequestCounts:
    """Requests that went to the endpoint, that an earlier attempt had answered, and tries that were repeated."""

    sent: int | None = None
    cached: int | None = None
    retried: int | None = None


@dataclass(frozen=True)
class OutcomeRecord:
    """The content of outcome.json, and of the result.json of a command.

    Attributes:
        metrics: At least one, as far as their writer knows.
        samples, tokens, requests: Counts.
        versions: What names the program and its tasks; published as it is.
    """

    metrics: tuple[ReportedMetric, ...]
    samples: SampleCounts
    tokens: TokenCounts = TokenCounts()
    requests: RequestCounts = RequestCounts()
    versions: Mapping[str, object] = field(default_factory=dict)


def write_outcome(path: Path, record: OutcomeRecord) -> None:
    """Write outcome.json."""
    write_json(path, asdict(record))


def read_outcome(content: object) -> OutcomeRecord:
    """Return the record in parsed JSON; raises KeyError or TypeError, which say what is damaged."""
    fields = Fields(content)
    samples, tokens, requests = fields.part("samples"), fields.part_or_empty("tokens"), fields.part_or_empty("requests")
    return OutcomeRecord(
        metrics=tuple(_metric(entry) for entry in fields.parts("metrics")),
        samples=SampleCounts(
            samples.count("asked"), samples.count("answered"), samples.count("failed") if "failed" in samples else 0
        ),
        tokens=TokenCounts(_count(tokens, "prompt"), _count(tokens, "completion")),
        requests=RequestCounts(_count(requests, "sent"), _count(requests, "cached"), _count(requests, "retried")),
        versions=fields.part_or_empty("versions").content,
    )


def _metric(fields: Fields) -> ReportedMetric:
    better, subtask = fields.value_or_none("higher_is_better"), fields.value_or_none("subtask")
    return ReportedMetric(
        name=str(fields.value("name")),
        filter=str(fields.value_or_none("filter") or "none"),
        subtask=None if subtask is None else str(subtask),
        value=fields.number("value"),
        stderr=None if fields.value_or_none("stderr") is None else fields.number("stderr"),
        n=fields.count("n"),
        higher_is_better=better if isinstance(better, bool) else None,
    )


def _count(fields: Fields, name: str) -> int | None:
    return None if fields.value_or_none(name) is None else fields.count(name)


FailureKind = Literal["endpoint", "harness"]


@dataclass(frozen=True)
class FailureRecord:
    """The content of error.json.

    Attributes:
        kind: "endpoint" (infrastructure, worth a retry) or "harness" (the task itself).
        message: One clear sentence.
        samples: How many were asked, answered and failed, None when that is not known.
    """

    kind: FailureKind
    message: str
    samples: SampleCounts | None = None


def write_failure(path: Path, record: FailureRecord) -> None:
    """Write error.json."""
    counts = asdict(record.samples) if record.samples else {}
    write_json(path, {"kind": record.kind, "message": record.message, **counts})


def read_failure(content: object) -> FailureRecord:
    """Return the record in parsed JSON; raises KeyError or TypeError, which say what is damaged.

    Its counts are for people.
    """
    fields = Fields(content)
    return FailureRecord(
        "endpoint" if fields.value_or_none("kind") == "endpoint" else "harness", fields.text("message")
    )
