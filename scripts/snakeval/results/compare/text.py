"""Comparisons for people: Markdown files, and tables on the terminal. Reads the JSON content alone."""

from collections.abc import Sequence
from typing import Any

from tabulate import tabulate

from snakeval.results.compare.differences import Setting
from snakeval.results.compare.record import INCOMPARABLE, ComparisonRecord, Gate, SampleName, TaskRecord
from snakeval.results.metrics import metric_label
from snakeval.results.rows import comparison_headings

_SHOWN_SAMPLES = 20


def as_markdown(comparison: ComparisonRecord) -> str:
    """Return the whole comparison as a page."""
    candidate, baseline, gate = comparison.candidate, comparison.baseline, comparison.gate
    parts = [
        f"# {comparison.name}",
        f"Candidate `{candidate.deployment}` of run `{candidate.run}` against baseline "
        f"`{baseline.deployment}` of run `{baseline.run}`.",
    ]
    if gate:
        parts += [f"## Gate: {gate.verdict}", f"{gate.reason} (policy `{gate.policy}`)."]
        parts.append(gate_table(gate, "github"))
    parts += ["## Tasks", comparison_table(comparison, "github"), _notes(comparison)]
    if comparison.deployment_differences:
        parts += ["## How the deployments differ", _settings(comparison.deployment_differences)]
    for task in comparison.tasks:
        parts += _task_page(task)
    return "\n\n".join(parts) + "\n"


def comparison_table(comparison: ComparisonRecord, style: str = "simple") -> str:
    """Return one line per task.

    Args:
        comparison: What was found.
        style: A table format of the package tabulate.
    """
    headers = [one.name for one in comparison_headings(comparison.alpha)]
    lines = [_line(task) for task in comparison.tasks]
    align = ("left", "left", *("right",) * (len(headers) - 2))
    return tabulate(lines, headers=headers, tablefmt=style, disable_numparse=True, colalign=align)


def gate_table(gate: Gate, style: str = "simple") -> str:
    """Return one line per task with what the gate says to it."""
    lines = [[one.task, one.tier or "", one.outcome, one.reason] for one in gate.tasks]
    return tabulate(lines, headers=["task", "tier", "outcome", "reason"], tablefmt=style, disable_numparse=True)


def comparison_summary(comparison: ComparisonRecord, path: str) -> str:
    """Return what the terminal shows of a comparison at the end of a run."""
    gate = comparison.gate
    parts = [f"compare {comparison.name} ({path})", comparison_table(comparison)]
    parts += [f"{one.task}: {one.reason}" for one in comparison.tasks if one.verdict == INCOMPARABLE]
    if gate:
        parts += [gate_table(gate), f"gate {comparison.name}: {gate.verdict}: {gate.reason}"]
    return "\n\n".join(parts)


def sample_names(samples: Sequence[SampleName]) -> str:
    """Return the ids of samples, the first ones of many, with their task where there are several."""
    several = len({one.task for one in samples}) > 1
    names = [f"{one.task}/{one.doc_id}" if several else str(one.doc_id) for one in samples[:_SHOWN_SAMPLES]]
    more = f", and {len(samples) - _SHOWN_SAMPLES} more" if len(samples) > _SHOWN_SAMPLES else ""
    return ", ".join(names) + more


def _line(task: TaskRecord) -> list[str]:
    scores = [f"{side.value:.4f}" if side else "" for side in (task.baseline, task.candidate)]
    flips = task.flips
    return [
        task.task,
        task.verdict,
        *scores,
        _number(task.difference, "+.4f"),
        "" if task.ci_low is None else f"{task.ci_low:+.4f} to {task.ci_high:+.4f}",
        _number(task.p_holm, ".3g"),
        f"-{len(flips.right_to_wrong)} +{len(flips.wrong_to_right)}" if flips else "",
        str(task.n_shared or ""),
        _number(task.mde, ".4f"),
    ]


def _notes(comparison: ComparisonRecord) -> str:
    return (
        "Difference: candidate minus baseline, over the n samples that both answered. p: of no difference, corrected "
        f"by Holm over the tasks; below {comparison.alpha:g} a task is better or worse. Flips: samples that went "
        "from right to wrong (-) and from wrong to right (+). mde: the smallest true difference that this many samples "
        f"would show with chance {comparison.power:g}."
    )


def _task_page(task: TaskRecord) -> list[str]:
    parts = [f"## {task.task}: {task.verdict}", f"{task.reason}."]
    if task.metric:
        test = f", {task.test}, p = {task.p:.3g} before correction" if task.p is not None else ""
        parts.append(f"Metric `{metric_label(task.metric, task.filter)}`{test}.")
    if task.differences:
        parts.append(_settings(task.differences))
    if task.flips:
        for label, samples in (
            ("Right to wrong", task.flips.right_to_wrong),
            ("Wrong to right", task.flips.wrong_to_right),
        ):
            if samples:
                parts.append(f"{label} ({len(samples)}): {sample_names(samples)}")
    return parts


def _settings(differences: Sequence[Setting]) -> str:
    lines = [
        [one.component, _value(one.baseline), _value(one.candidate), "yes" if one.accepted else "no"]
        for one in differences
    ]
    headers = ["setting", "baseline", "candidate", "may differ"]
    return tabulate(lines, headers=headers, tablefmt="github", disable_numparse=True)


def _value(value: Any) -> str:
    text = "not set" if value is None else str(value)
    return " ".join(text.split())[:100].replace("|", "\\|")


def _number(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)
