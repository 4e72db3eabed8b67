"""The form in which every reader of this package gives a harness's samples."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from ...shared.outcome import ReportedMetric
from ...shared.samples import Sample

Count = Callable[[str | None, str, str], int]


@dataclass(frozen=True)
class Evidence:
    """The samples of a task.

    Attributes:
        samples: One per sample and repeat.
        asked: Samples, repeats not counted.
        count: Samples behind a metric, of a part (None for the task), a name and a filter; 0 for none.
        unanswered: Samples that the harness has scored although they have no answer.
        example: What it wrote in the place of one of those.
        metrics: Numbers that results.yml lacks.
        versions: Of the harness's task definitions, where it tells.
        lower_is_better: Names of metrics whose small values are the good ones, None where that is not known.
        limited_parts: How many parts the limit holds for, one by one.
        whole: What results.yml calls the task itself, where it has several groups.
        trusts_counts: Whether the samples behind a metric are as many as results.yml says, where it says so.
    """

    samples: list[Sample]
    asked: int
    count: Count
    unanswered: int = 0
    example: str = ""
    metrics: list[ReportedMetric] = field(default_factory=list)
    versions: Mapping[str, object] = field(default_factory=dict)
    lower_is_better: frozenset[str] | None = frozenset()
    limited_parts: int = 1
    whole: str | None = None
    trusts_counts: bool = False
