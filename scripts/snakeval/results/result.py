"""`result.json`, from which later steps know a task: what it holds, its only reader and its only writer."""

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import yaml

from snakeval import __version__
from snakeval.config.model import Config, Deployment, Task
from snakeval.errors import HarnessError
from snakeval.harnesses.base import Metric, Outcome
from snakeval.results.answers import Answers
from snakeval.run.paths import finished_tasks
from snakeval.run.record import Damage, Record
from snakeval.system.checkout import SCHEMAS
from snakeval.system.files import write_json
from snakeval.system.times import iso_time

if TYPE_CHECKING:
    from jsonschema import Draft202012Validator

SCHEMA = SCHEMAS / "result.schema.yaml"
# What users and harnesses name as they like: settings, components of a fingerprint, versions.
FreeJson = Mapping[str, Any]
_NOT_SETTINGS = ("command", "pre_cmd", "post_cmd")


@dataclass(frozen=True)
class SampleCounts:
    """Numbers of samples, repeats not counted."""

    asked: int
    answered: int
    failed: int


@dataclass(frozen=True)
class Tokens:
    """Sums over all requests; None where the endpoint does not count."""

    prompt: int | None
    completion: int | None


@dataclass(frozen=True)
class Requests:
    """Sent by the attempt that succeeded, answered by earlier ones, sent again; None where nobody counts."""

    sent: int | None
    resumed: int | None
    retried: int | None


@dataclass(frozen=True)
class Times:
    """Begin and end (ISO 8601, UTC) of the attempt that succeeded, seconds between them, and which attempt it was."""

    started_at: str
    ended_at: str
    duration_s: float
    attempt: int

    def __post_init__(self) -> None:
        if self.began.tzinfo is None or self.ended.tzinfo is None:
            raise ValueError("a time without a time zone is no moment")

    @property
    def began(self) -> datetime:
        """The begin."""
        return datetime.fromisoformat(self.started_at)

    @property
    def ended(self) -> datetime:
        """The end."""
        return datetime.fromisoformat(self.ended_at)


@dataclass(frozen=True)
class Components:
    """What the fingerprints are made of: dotted name -> value."""

    deployment: FreeJson
    task: FreeJson


@dataclass(frozen=True)
class Fingerprint:
    """Hashes of everything that can change a score; the first results did not record the components."""

    deployment: str
    task: str
    components: Components | msgspec.UnsetType = msgspec.UNSET


@dataclass(frozen=True, kw_only=True)
class Result(Record):
    """The scores of one task on one deployment, and all that is needed to judge them.

    `schemas/result.schema.yaml` describes every key. A file of a newer version is refused, because a score that is
    half understood is none.

    Attributes:
        versions: Of Snakeval, the harness, its task definitions and libraries.
        settings: The task's other settings, as far as they are set.
        answers: What was seen on the wire; results before 0.2 do not tell.
    """

    run: str
    deployment: str
    served_model_name: str
    deployment_type: str
    task: str
    harness: str
    harness_task: str
    protocol: str
    limit: int | None
    repeats: int
    metrics: tuple[Metric, ...]
    samples: SampleCounts
    tokens: Tokens
    requests: Requests
    times: Times
    fingerprint: Fingerprint
    versions: FreeJson
    settings: FreeJson
    answers: Answers | msgspec.UnsetType = msgspec.UNSET

    @property
    def note(self) -> str | None:
        """What a reader of the score has to know of the answers behind it; None for nothing."""
        return self.answers.note if isinstance(self.answers, Answers) else None

    def as_json(self) -> FreeJson:
        """Return the content of result.json, as JSON has it: what is checked is what is written."""
        return dict(json.loads(json.dumps({"schema_version": self.SCHEMA, **self._content()})))

    def write(self, path: Path) -> None:
        """Validate and write result.json, atomically; raises HarnessError when `read_result` would refuse it."""
        content = self.as_json()
        decode_result(content)
        write_json(path, content)

    @classmethod
    def _decoded(cls, text: bytes) -> "Result":
        try:
            content = json.loads(text)
        except ValueError as error:
            raise ValueError(f"it is not JSON: {error}") from None
        if not isinstance(content, dict):
            raise ValueError("it is not a JSON object")
        try:
            return decode_result(content)
        except HarnessError as error:
            raise ValueError(str(error)) from None


def build_result(
    config: Config,
    deployment: Deployment,
    task: Task,
    outcome: Outcome,
    started_at: float,
    ended_at: float,
    attempt: int,
    answers: Answers | None = None,
) -> Result:
    """Return the result of a task; times in seconds since the epoch."""
    components = Components(dict(deployment.components), dict(task.components))
    return Result(
        run=config.run,
        deployment=deployment.name,
        served_model_name=deployment.served_model_name,
        deployment_type=deployment.type,
        task=task.name,
        harness=task.harness,
        harness_task=task.task,
        protocol=task.protocol.value,
        limit=task.limit,
        repeats=task.repeats,
        metrics=outcome.metrics,
        samples=SampleCounts(outcome.asked, outcome.answered, outcome.failed),
        tokens=Tokens(outcome.prompt_tokens, outcome.completion_tokens),
        requests=Requests(outcome.requests_sent, outcome.requests_cached, outcome.requests_retried),
        times=Times(iso_time(started_at), iso_time(ended_at), round(ended_at - started_at, 3), attempt),
        fingerprint=Fingerprint(deployment.fingerprint, task.fingerprint, components),
        versions={"snakeval": __version__, **outcome.versions},
        settings={
            name: value for name, value in task.settings.items() if value is not None and name not in _NOT_SETTINGS
        },
        answers=msgspec.UNSET if answers is None else answers,
    )


def decode_result(content: FreeJson) -> Result:
    """Return the result in the content of a file, checked by its schema and by what a schema cannot say.

    Raises:
        HarnessError: it is malformed or of a newer version, has no metric, or scores fewer samples than it asked.
    """
    _refuse_newer(content.get("schema_version"), content.get("versions"))
    error = next(_validator().iter_errors(content), None)
    if error is not None:
        raise HarnessError(f"result of {content.get('task')} is malformed at {error.json_path}: {error.message[:200]}")
    try:
        result = msgspec.convert(content, Result, strict=False)
    except msgspec.ValidationError as wrong:
        raise HarnessError(f"result of {content.get('task')} is malformed: {wrong}") from None
    samples = result.samples
    if samples.answered != samples.asked or samples.failed:
        unanswered = samples.asked - samples.answered
        raise HarnessError(f"{unanswered} of {samples.asked} samples got no answer ({samples.failed} failed)")
    for metric in result.metrics:
        numbers = {"value": metric.value, "stderr": metric.stderr, "ci_low": metric.ci_low, "ci_high": metric.ci_high}
        for name, number in numbers.items():
            if number is not None and not math.isfinite(number):
                raise HarnessError(f"{name} of metric {metric.name} is {number}, which is no score")
    return result


def read_result(path: Path) -> Result | None:
    """Return a valid result, None when it is absent; `Result.read` counts as missing what this refuses.

    Raises:
        HarnessError: it is damaged, malformed or of a newer version; the message names the file and says why.
    """
    return Result.read(path, _refuse)


def read_valid_results(folder: Path) -> Iterator[Result]:
    """Yield the results of a deployment's folder by name of the task, malformed ones left out."""
    for task in finished_tasks(folder):
        result = Result.read(task.result)
        if result is not None:
            yield result


def _refuse(damage: Damage) -> None:
    raise HarnessError(f"{damage.path}: {damage.why}")


def _refuse_newer(version: object, versions: object) -> None:
    if isinstance(version, int) and version > Result.SCHEMA:
        writer = versions.get("snakeval") if isinstance(versions, Mapping) else None
        raise HarnessError(
            f"Snakeval {writer or '(it does not say which)'} wrote it in form {version}, and this is Snakeval "
            f"{__version__}, which knows forms up to {Result.SCHEMA}"
        )


@cache
def _validator() -> "Draft202012Validator":
    import jsonschema

    return jsonschema.Draft202012Validator(yaml.safe_load(SCHEMA.read_text(encoding="utf-8")))
