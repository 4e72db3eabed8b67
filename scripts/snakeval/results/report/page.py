"""Writes report.html: the templates, the charts and the packed samples in one file."""

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from snakeval import __version__
from snakeval.config.model import Config, Task
from snakeval.results.compare.text import sample_names
from snakeval.results.report import charts
from snakeval.results.report.data import Report, Score, gather
from snakeval.results.report.samples import Packed, Source, pack
from snakeval.results.report.timings import Speed
from snakeval.results.rows import LEADERBOARD, comparison_headings
from snakeval.run.paths import RunPaths
from snakeval.system.checkout import TEMPLATES
from snakeval.system.files import write_text
from snakeval.system.times import duration

PAGE_TEMPLATES = TEMPLATES / "report"
# Of all samples; charts and tables of a large run take a few megabytes more.
SAMPLE_BYTES = 16_000_000


@dataclass(frozen=True)
class TaskSection:
    """What the page has of one task.

    Attributes:
        anchor: Its place on the page.
        task: The task.
        scores: One per deployment.
        forest: The chart, None without a score.
        samples: Packed, None without a result.
        files: Where all samples are.
    """

    anchor: str
    task: Task
    scores: Sequence[Score]
    forest: Markup | None
    samples: Packed | None
    files: str


@dataclass(frozen=True)
class Totals:
    """Sums over the tasks of a deployment; None where an endpoint does not count."""

    deployment: str
    tasks: int
    samples: int | None
    prompt_tokens: int | None
    completion_tokens: int | None
    requests: int | None
    resumed: int | None
    retried: int | None

    @classmethod
    def of(cls, deployment: str, speeds: Sequence[Speed]) -> Self:
        """Return the sums of what is known."""
        names = ("samples", "prompt_tokens", "completion_tokens", "requests", "resumed", "retried")
        known = {name: [value for one in speeds if (value := getattr(one, name)) is not None] for name in names}
        return cls(deployment, len(speeds), **{name: sum(values) if values else None for name, values in known.items()})


def write_report(config: Config, comparisons: Sequence[Path], path: Path) -> Report:
    """Write the page of a run, complete or not; returns what it shows.

    Args:
        config: The run.
        comparisons: Files of the comparisons to show.
        path: The page.
    """
    report = gather(config, comparisons)
    page = render(report, sections_of(report))
    # Half a surrogate pair, which JSON may hold, has no encoding.
    write_text(path, page.encode("utf-8", "replace").decode("utf-8"))
    return report


def sections_of(report: Report, sample_bytes: int = SAMPLE_BYTES) -> list[TaskSection]:
    """Return the sections of all tasks. Bytes for samples that one task does not use go to the next tasks."""
    sections: list[TaskSection] = []
    for number, task in enumerate(report.tasks):
        share = sample_bytes // (len(report.tasks) - number)
        sources = _sources(report, task)
        packed = pack(sources, share) if sources else None
        sample_bytes -= len(packed.text) if packed else 0
        scores = report.scores_of(task.name)
        files = f"{report.root}/*/{task.name}/samples.jsonl.gz"
        sections.append(
            TaskSection(f"task-{number}", task, scores, _markup(charts.forest(scores)), packed, files),
        )
    return sections


def render(report: Report, sections: Sequence[TaskSection]) -> str:
    """Return the page."""
    environment = Environment(
        loader=FileSystemLoader(PAGE_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"number": _number, "seconds": duration, "count": _count, "names": sample_names}
    script = (PAGE_TEMPLATES / "page.js").read_text(encoding="utf-8")
    links = {section.task.name: f"#{section.anchor}" for section in sections}
    return environment.get_template("page.html.j2").render(
        report=report,
        sections=sections,
        links=links,
        tasks_by_name={section.task.name: section.task for section in sections},
        version=__version__,
        script=Markup(script),
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        heat_map=_markup(charts.heat_map(report.scores, links)),
        phases_chart=_markup(charts.phases(report.phases)),
        comparisons=[(one, _markup(charts.differences(one))) for one in report.comparisons],
        totals=_totals(report.speeds),
        leaderboard_headings=LEADERBOARD,
        comparison_headings=comparison_headings,
    )


def _sources(report: Report, task: Task) -> list[Source]:
    paths = RunPaths(report.root)
    return [
        Source(deployment, paths.task(deployment, task.name).samples, result.metrics)
        for deployment in report.deployments
        if (result := report.results.get((deployment, task.name))) is not None
    ]


def _totals(speeds: Sequence[Speed]) -> list[Totals]:
    return [
        Totals.of(deployment, [one for one in speeds if one.deployment == deployment])
        for deployment in dict.fromkeys(one.deployment for one in speeds)
    ]


def _markup(svg: str | None) -> Markup | None:
    return None if svg is None else Markup(svg)


def _number(value: float | None, digits: int = 4, sign: bool = False) -> str:
    """Return a number with fixed digits, "" without one."""
    return "" if value is None else format(value, f"{'+' if sign else ''}.{digits}f")


def _count(value: float | None) -> str:
    """Return a whole number with separators, a small fraction with its digits, "" without one."""
    if value is None:
        return ""
    return f"{value:,.0f}" if isinstance(value, int) or value >= 100 else f"{value:.3g}"
