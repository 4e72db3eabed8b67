"""Comparisons for people: Markdown files, and tables on the terminal. Reads the JSON content alone."""

from collections.abc import Mapping, Sequence
from typing import Any

from tabulate import tabulate

_SHOWN_SAMPLES = 20


def as_markdown(comparison: Mapping[str, Any]) -> str:
    """Return the whole comparison as a page."""
    candidate, baseline = comparison["candidate"], comparison["baseline"]
    parts = [
        f"# {comparison['name']}",
        f"Candidate `{candidate['deployment']}` of run `{candidate['run']}` against baseline "
        f"`{baseline['deployment']}` of run `{baseline['run']}`.",
    ]
    if comparison["gate"]:
        gate = comparison["gate"]
        parts += [f"## Gate: {gate['verdict']}", f"{gate['reason']} (policy `{gate['policy']}`)."]
        parts.append(gate_table(comparison, "github"))
    parts += ["## Tasks", comparison_table(comparison, "github"), _notes(comparison)]
    if comparison["deployment_differences"]:
        parts += ["## How the deployments differ", _settings(comparison["deployment_differences"])]
    for task in comparison["tasks"]:
        parts += _task_page(task)
    return "\n\n".join(parts) + "\n"


def comparison_table(comparison: Mapping[str, Any], style: str = "simple") -> str:
    """Return one line per task.

    Args:
        comparison: Content of the comparison's file.
        style: A table format of the package tabulate.
    """
    confidence = f"{100 * (1 - comparison['alpha']):g} % interval"
    headers = ["task", "verdict", "baseline", "candidate", "difference", confidence, "p (Holm)", "flips", "n", "mde"]
    lines = [_line(task) for task in comparison["tasks"]]
    align = ("left", "left", *("right",) * 8)
    return tabulate(lines, headers=headers, tablefmt=style, disable_numparse=True, colalign=align)


def gate_table(comparison: Mapping[str, Any], style: str = "simple") -> str:
    """Return one line per task with what the gate says to it."""
    lines = [[one["task"], one["tier"] or "", one["outcome"], one["reason"]] for one in comparison["gate"]["tasks"]]
    headers = ["task", "tier", "outcome", "reason"]
    return tabulate(lines, headers=headers, tablefmt=style, disable_numparse=True)


def comparison_summary(comparison: Mapping[str, Any], path: str) -> str:
    """Return what the terminal shows of a comparison at the end of a run."""
    gate = comparison["gate"]
    parts = [f"compare {comparison['name']} ({path})", comparison_table(comparison)]
    parts += [f"{one['task']}: {one['reason']}" for one in comparison["tasks"] if one["verdict"] == "incomparable"]
    if gate:
        parts += [gate_table(comparison), f"gate {comparison['name']}: {gate['verdict']}: {gate['reason']}"]
    return "\n\n".join(parts)


def sample_names(samples: Sequence[Mapping[str, Any]]) -> str:
    """Return the ids of samples, the first ones of many, with their task where there are several."""
    several = len({one["task"] for one in samples}) > 1
    names = [f"{one['task']}/{one['doc_id']}" if several else str(one["doc_id"]) for one in samples[:_SHOWN_SAMPLES]]
    more = f", and {len(samples) - _SHOWN_SAMPLES} more" if len(samples) > _SHOWN_SAMPLES else ""
    return ", ".join(names) + more


def _line(task: Mapping[str, Any]) -> list[str]:
    scores = [f"{task[side]['value']:.4f}" if task[side] else "" for side in ("baseline", "candidate")]
    interval = "" if task["ci_low"] is None else f"{task['ci_low']:+.4f} to {task['ci_high']:+.4f}"
    flips = task["flips"]
    changed = f"-{len(flips['right_to_wrong'])} +{len(flips['wrong_to_right'])}" if flips else ""
    return [
        task["task"],
        task["verdict"],
        *scores,
        _number(task["difference"], "+.4f"),
        interval,
        _number(task["p_holm"], ".3g"),
        changed,
        str(task["n_shared"] or ""),
        _number(task["mde"], ".4f"),
    ]


def _notes(comparison: Mapping[str, Any]) -> str:
    return (
        "Difference: candidate minus baseline, over the n samples that both answered. p: of no difference, corrected "
        f"by Holm over the tasks; below {comparison['alpha']:g} a task is better or worse. Flips: samples that went "
        "from right to wrong (-) and from wrong to right (+). mde: the smallest true difference that this many samples "
        f"would show with chance {comparison['power']:g}."
    )


def _task_page(task: Mapping[str, Any]) -> list[str]:
    parts = [f"## {task['task']}: {task['verdict']}", f"{task['reason']}."]
    if task["metric"]:
        name = task["metric"] if task["filter"] in (None, "none") else f"{task['metric']} ({task['filter']})"
        test = f", {task['test']}, p = {task['p']:.3g} before correction" if task["p"] is not None else ""
        parts.append(f"Metric `{name}`{test}.")
    if task["differences"]:
        parts.append(_settings(task["differences"]))
    for key, label in (("right_to_wrong", "Right to wrong"), ("wrong_to_right", "Wrong to right")):
        samples = (task["flips"] or {}).get(key, [])
        if samples:
            parts.append(f"{label} ({len(samples)}): {sample_names(samples)}")
    return parts


def _settings(differences: Sequence[Mapping[str, Any]]) -> str:
    lines = [
        [one["component"], _value(one["baseline"]), _value(one["candidate"]), "yes" if one["accepted"] else "no"]
        for one in differences
    ]
    headers = ["setting", "baseline", "candidate", "may differ"]
    return tabulate(lines, headers=headers, tablefmt="github", disable_numparse=True)


def _value(value: Any) -> str:
    text = "not set" if value is None else str(value)
    return " ".join(text.split())[:100].replace("|", "\\|")


def _number(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)
