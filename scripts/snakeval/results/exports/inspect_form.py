"""The form of a log of Inspect (inspect-ai, log format 2), as far as Snakeval fills it."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NotRequired, TypedDict


class Usage(TypedDict):
    """Tokens of a model."""

    input_tokens: int
    output_tokens: int
    total_tokens: int


class Message(TypedDict):
    """A message of a chat."""

    role: str
    content: str
    source: str
    model: NotRequired[str]


class Choice(TypedDict):
    """An answer of a model."""

    message: Message
    stop_reason: str


class Output(TypedDict):
    """What a model gave for a sample."""

    model: str
    choices: list[Choice]
    completion: str
    usage: Usage | None
    time: float | None


class SampleScore(TypedDict):
    """What a scorer gave to a sample."""

    value: float
    answer: str


class LogSample(TypedDict):
    """A sample and epoch of a log."""

    id: int | str
    epoch: int
    input: str | list[Message]
    target: str
    messages: list[Message]
    output: Output
    scores: Mapping[str, SampleScore]
    metadata: Mapping[str, str]
    model_usage: Mapping[str, Usage]
    total_time: float | None


class LogMetric(TypedDict):
    """A number of a scorer."""

    name: str
    value: float


class LogScore(TypedDict):
    """A scorer with its numbers."""

    name: str
    scorer: str
    scored_samples: int
    metrics: Mapping[str, LogMetric]
    metadata: Mapping[str, bool | str | None]


class Generation(TypedDict, total=False):
    """How answers were generated; what is not set is left out."""

    temperature: float
    top_p: float
    max_tokens: int
    seed: int
    system_message: str


class Dataset(TypedDict):
    """The samples that were asked."""

    name: str
    samples: int
    sample_ids: list[int | str]
    shuffled: bool


class Limits(TypedDict):
    """How much was asked."""

    limit: int | None
    epochs: int


class Spec(TypedDict):
    """What was evaluated, and with what; `metadata` is Snakeval's own."""

    eval_id: str
    run_id: str
    created: str
    task: str
    task_id: str
    task_version: int
    task_attribs: Mapping[str, str]
    task_args: Mapping[str, str]
    tags: list[str]
    dataset: Dataset
    model: str
    model_generate_config: Generation
    model_args: Mapping[str, str]
    config: Limits
    packages: Mapping[str, str]
    metadata: Mapping[str, Any]


class Step(TypedDict):
    """A step of a plan."""

    solver: str
    params: Mapping[str, str]


class Plan(TypedDict):
    """What was done with each sample."""

    name: str
    steps: list[Step]
    config: Generation


class Scores(TypedDict):
    """The numbers of all scorers."""

    total_samples: int
    completed_samples: int
    scores: Sequence[LogScore]


class Stats(TypedDict):
    """When it was evaluated, and for how many tokens."""

    started_at: str
    completed_at: str
    model_usage: Mapping[str, Usage]


class Log(TypedDict):
    """A log; `eval` is Inspect's name of the specification."""

    version: int
    status: Literal["success"]
    eval: Spec
    plan: Plan
    results: Scores
    stats: Stats
    samples: list[LogSample]
