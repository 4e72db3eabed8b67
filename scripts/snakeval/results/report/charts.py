"""The charts of the report, drawn once as SVG; their colours are variables of the page, so they follow its theme."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import altair as alt
import vl_convert

from snakeval.results.compare.record import ComparisonRecord
from snakeval.results.report.data import Score
from snakeval.results.report.timings import Phases

_WIDTH, _STEP = 165, 18
# The browser's letters may be wider than those that the renderer measures with: names get room by their number.
_LABEL, _LETTER, _ROOM = 115, 7, 140
# What the renderer puts before a link to a place on the page.
_LINK_BASE = "https://vega.github.io/vega-datasets/#"
_PHASES = {"load": "var(--load)", "ready": "var(--ready)", "evaluate": "var(--accent)", "idle": "var(--idle)"}


@dataclass(frozen=True)
class Interval:
    """A line of a chart of intervals, with what is read out for it."""

    name: str
    value: float
    low: float
    high: float
    words: str


def forest(scores: Sequence[Score]) -> str | None:
    """Return value and 95 % interval of one task on every deployment; None when there is no value at all."""
    rows = [_interval(one.deployment, one.value, one.ci_low, one.ci_high) for one in scores if one.value is not None]
    if not rows:
        return None
    ends = [end for row in rows for end in (row.value, row.low, row.high)]
    domain = [0, 1] if min(ends) >= 0 and max(ends) <= 1 else None
    return _svg(_intervals(rows, [one.deployment for one in scores], domain, "value, 95 % interval"))


def differences(comparison: ComparisonRecord) -> str | None:
    """Return candidate minus baseline with its interval, task by task; None when nothing was comparable."""
    rows = [
        _interval(one.task, one.difference, one.ci_low, one.ci_high)
        for one in comparison.tasks
        if one.difference is not None
    ]
    if not rows:
        return None
    title = f"difference, {100 * (1 - comparison.alpha):g} % interval"
    zero = alt.Chart(alt.Data(values=[{"value": 0}])).mark_rule(color="var(--muted)", strokeDash=[3, 3])
    return _svg(_intervals(rows, [one.name for one in rows], None, title, zero.encode(x="value:Q")))


def heat_map(scores: Sequence[Score], links: Mapping[str, str]) -> str | None:
    """Return a map of all scores, a line per task and a column per deployment.

    Args:
        scores: All of the run.
        links: Task -> place on the page that its cells lead to.
    """
    if all(one.value is None for one in scores):
        return None
    shades = _shades(scores)
    rows = [
        {
            "deployment": one.deployment,
            "task": one.task,
            "link": links[one.task],
            "shade": shade,
            "shown": "missing" if one.value is None else format_value(one.value),
            "ink": "var(--muted)" if shade is None else "#ffffff" if shade > 0.6 else "#10233d",
            "words": f"{one.task} on {one.deployment}: {one.metric or 'missing'} {format_value(one.value)}",
        }
        for one, shade in zip(scores, shades, strict=True)
    ]
    deployments = list(dict.fromkeys(one.deployment for one in scores))
    tasks = list(dict.fromkeys(one.task for one in scores))
    base = alt.Chart(alt.Data(values=rows)).encode(
        x=alt.X("deployment:N", title=None, sort=deployments).axis(orient="top", labelAngle=-35),
        y=alt.Y("task:N", title=None, sort=tasks).axis(minExtent=_extent(tasks)),
        href="link:N",
        description="words:N",
    )
    colour = alt.Color("shade:Q", legend=None).scale(domain=[0, 1], range=["#e3eefb", "#5b9bd5", "#0b3d75"])
    known = base.transform_filter("datum.shade !== null").mark_rect(stroke="var(--panel)", strokeWidth=1)
    text = base.mark_text(fontSize=11).encode(text="shown:N", color=alt.Color("ink:N", scale=None, legend=None))
    layers = alt.layer(known.encode(color=colour), text).resolve_scale(color="independent")
    # Room for names that lean out of the map.
    padding = {"left": 5, "top": 20, "right": 60, "bottom": 5}
    return _svg(layers.properties(width=alt.Step(62), height=alt.Step(24), padding=padding))


def phases(servers: Sequence[Phases]) -> str | None:
    """Return the phases of every server as stacked bars; None when none is known."""
    order = list(_PHASES)
    rows = [
        {"deployment": one.deployment, "phase": name, "place": order.index(name), "seconds": seconds}
        | {"words": f"{one.deployment}: {name} {seconds:.1f} s"}
        for one in servers
        for name, seconds in one.parts()
    ]
    if not rows:
        return None
    names = [one.deployment for one in servers]
    colours = alt.Scale(domain=order, range=list(_PHASES.values()))
    chart = alt.Chart(alt.Data(values=rows)).mark_bar(opacity=1)
    return _svg(
        chart.encode(
            x=alt.X("seconds:Q", title="seconds", stack="zero").axis(tickCount=4),
            y=alt.Y("deployment:N", title=None, sort=names).axis(minExtent=_extent(names)),
            color=alt.Color("phase:N", scale=colours, title=None, sort=order).legend(orient="top", columns=4),
            order="place:O",
            description="words:N",
        ).properties(width=_WIDTH, height=alt.Step(22))
    )


def format_value(value: float | None) -> str:
    """Return a score with three digits, "" without one."""
    return "" if value is None else f"{value:.3f}" if abs(value) < 100 else f"{value:.4g}"


def _extent(names: Sequence[str]) -> int:
    """Return the room that names need beside a chart, in pixels."""
    return min(_ROOM, _LETTER * max(map(len, names)))


def _interval(name: str, value: float, low: float | None, high: float | None) -> Interval:
    words = f"{name}: {value:.4f}" + ("" if low is None or high is None else f" ({low:.4f} to {high:.4f})")
    return Interval(name, value, value if low is None else low, value if high is None else high, words)


def _intervals(
    rows: Sequence[Interval], names: Sequence[str], domain: Sequence[float] | None, title: str, *behind: Any
) -> Any:
    """Return a line per name, with what is drawn behind the intervals."""
    scale = alt.Scale(domain=domain) if domain else alt.Scale(zero=False, nice=True)
    order = alt.Scale(domain=list(dict.fromkeys(names)))
    base = alt.Chart(alt.Data(values=[asdict(row) for row in rows])).encode(
        y=alt.Y("name:N", title=None, scale=order).axis(minExtent=_extent(names)), description="words:N"
    )
    line = base.mark_rule(strokeWidth=2, color="var(--accent)").encode(
        x=alt.X("low:Q", title=title, scale=scale).axis(tickCount=5), x2="high:Q"
    )
    point = base.mark_point(filled=True, size=55, opacity=1, color="var(--accent)").encode(x="value:Q")
    return alt.layer(*behind, line, point).properties(width=_WIDTH, height=alt.Step(_STEP))


def _shades(scores: Sequence[Score]) -> list[float | None]:
    """Return how good each score is, from 0 to 1: itself if all of its task are shares, else its place among them."""
    known: dict[str, list[float]] = {}
    for one in scores:
        if one.value is not None:
            known.setdefault(one.task, []).append(one.value)
    shades: list[float | None] = []
    for one in scores:
        if one.value is None:
            shades.append(None)
            continue
        low, high = min(known[one.task]), max(known[one.task])
        share = low >= 0 and high <= 1
        place = one.value if share else 0.5 if low == high else (one.value - low) / (high - low)
        shades.append(1 - place if one.higher_is_better is False else place)
    return shades


def _svg(chart: Any) -> str:
    ink = {"labelColor": "var(--text)", "titleColor": "var(--muted)", "titleFontWeight": "normal"}
    lines = {"gridColor": "var(--line)", "domainColor": "var(--line)", "tickColor": "var(--line)"}
    themed = (
        chart.configure(background="transparent", font="system-ui, sans-serif")
        .configure_axis(**ink, **lines, labelLimit=_LABEL, labelFontSize=11)
        .configure_legend(labelColor="var(--text)", symbolOpacity=1)
        .configure_view(stroke=None)
    )
    svg = str(vl_convert.vegalite_to_svg(themed.to_dict()))
    return svg.replace(_LINK_BASE, "#")
