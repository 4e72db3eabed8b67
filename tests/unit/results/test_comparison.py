"""Comparisons of result and sample files: what differs is named, what is unlike is refused, noise is not news."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from builders import make_config, make_deployment, make_metric, make_outcome, make_task
from msgspec import UNSET
from snakeval.config.model import Comparison
from snakeval.harnesses.base import Outcome
from snakeval.results.compare.comparison import Side, compare, sides, write_comparison
from snakeval.results.compare.differences import Setting
from snakeval.results.compare.record import ComparisonRecord, Flips
from snakeval.results.compare.text import as_markdown, comparison_summary
from snakeval.results.result import Components, Fingerprint, Result, build_result
from snakeval.results.samples import Sample, read_table, write_samples
from snakeval.results.uncertainty import with_uncertainty
from snakeval.run.paths import TaskPaths

COMPARISON = Comparison("new-vs-old", "new", "old", None, (), 0.05, None)
Change = Callable[[Result], Result]


def _same(result: Result) -> Result:
    return result


def _with_task_version(result: Result) -> Result:
    return replace(result, versions={**result.versions, "task": {"sums": 2}})


def _with_metric(**values: Any) -> Change:
    """Return what changes the first metric of a result."""
    return lambda result: replace(result, metrics=(replace(result.metrics[0], **values), *result.metrics[1:]))


def _write(
    root: Path,
    deployment: str,
    scores: Sequence[float],
    task: str = "sums",
    record: bool = True,
    change: Change = _same,
    components: Mapping[str, Any] | None = None,
) -> None:
    """Write a task's result and samples as rule evaluate does."""
    samples = [
        {"task": task, "doc_id": number, "expected": number, "metrics": {"exact_match[none]": score}}
        for number, score in enumerate(scores)
    ]
    mean, n = float(np.mean(scores)), len(scores)
    outcome: Outcome = make_outcome(
        make_metric(value=mean, stderr=float(np.std(scores) / n**0.5), n=n), asked=n, answered=n
    )
    outcome = with_uncertainty(outcome, read_table(map(Sample.of, samples if record else [])))
    result = build_result(make_config(), make_deployment(deployment), make_task(task), outcome, 0.0, 1.0, 1)
    known = Components({"type": deployment}, dict(components or {}))
    result = replace(result, fingerprint=Fingerprint(result.fingerprint.deployment, f"hash of {components}", known))
    files = TaskPaths(root / deployment / task)
    files.folder.mkdir(parents=True, exist_ok=True)
    change(result).write(files.result)
    write_samples(files.samples, iter(samples if record else []))


def _compare(root: Path, *tasks: str, accept: tuple[str, ...] = ()) -> ComparisonRecord:
    comparison = Comparison("new-vs-old", "new", "old", None, accept, 0.05, None)
    old, new = (Side("demo", name, root / name, tasks or ("sums",)) for name in ("old", "new"))
    content = compare(comparison, old, new)
    # Valid by its schema, and the same after its way through the file.
    content.write(root / "comparison.json")
    assert ComparisonRecord.read(root / "comparison.json") == content
    assert as_markdown(content) and comparison_summary(content, "x.md")
    return content


def test_spoiled_answers_are_found_by_their_ids(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    before = (rng.random(1000) < 0.7).astype(float)
    spoiled = rng.choice(1000, 100, replace=False)
    after = before.copy()
    after[spoiled] = 0.0
    _write(tmp_path, "old", before.tolist())
    _write(tmp_path, "new", after.tolist())
    content = _compare(tmp_path)
    task = content.tasks[0]
    assert (task.verdict, task.test, task.n_shared) == ("worse", "mcnemar exact", 1000)
    lost = sorted(int(one) for one in spoiled if before[one])
    assert task.flips is not None and task.ci_high is not None
    assert [one.doc_id for one in task.flips.right_to_wrong] == lost
    assert task.difference == pytest.approx(-len(lost) / 1000)
    assert task.ci_high < 0
    assert content.counts == {"better": 0, "worse": 1, "not distinguishable": 0, "incomparable": 0}
    assert content.deployment_differences == (Setting("type", "old", "new", accepted=True),)
    page = as_markdown(content)
    assert f"Right to wrong ({len(lost)}): {lost[0]}, {lost[1]}" in page
    assert f", and {len(lost) - 20} more" in page


def test_the_same_twice_is_not_distinguishable(tmp_path: Path) -> None:
    for name in ("old", "new"):
        _write(tmp_path, name, [1.0, 0.0, 1.0, 1.0] * 25)
    task = _compare(tmp_path).tasks[0]
    assert (task.verdict, task.difference, task.p, task.p_holm) == ("not distinguishable", 0.0, 1.0, 1.0)
    assert task.flips == Flips()
    assert task.reason == "the difference may be chance: no answer changed"
    assert task.ci_low is not None and task.ci_high is not None
    assert task.ci_low < 0 < task.ci_high


def test_a_difference_must_survive_the_number_of_tasks(tmp_path: Path) -> None:
    """Nine losses and one gain: p = 0.021 alone, 0.11 among five tasks."""
    for task in "abcde":
        _write(tmp_path, "old", [1.0] * 60 + [0.0] * 40, task)
        _write(tmp_path, "new", [1.0] * 60 + [0.0] * 40, task)
    _write(tmp_path, "new", [0.0] * 9 + [1.0] * 52 + [0.0] * 39, "a")
    alone, among = _compare(tmp_path, "a").tasks[0], _compare(tmp_path, *"abcde").tasks[0]
    assert alone.p == among.p == pytest.approx(0.0215, abs=1e-4)
    assert (alone.verdict, among.verdict) == ("worse", "not distinguishable")
    assert alone.p is not None
    assert among.p_holm == pytest.approx(5 * alone.p)


def test_less_is_better_for_an_error_rate(tmp_path: Path) -> None:
    lower = _with_metric(higher_is_better=False)
    _write(tmp_path, "old", [1.0] * 50 + [0.0] * 50, change=lower)
    _write(tmp_path, "new", [1.0] * 20 + [0.0] * 80, change=lower)
    assert _compare(tmp_path).tasks[0].verdict == "better"


@pytest.mark.parametrize(
    ("components", "change", "differing"),
    [
        ({"limit": 50, "temperature": 0}, lambda r: replace(r, limit=50), {"limit": (None, 50)}),
        ({"temperature": 0.7}, _same, {"temperature": (0, 0.7)}),
        ({"temperature": 0}, lambda r: replace(r, protocol="completions"), {"protocol": ("chat", "completions")}),
        ({"temperature": 0}, _with_task_version, {"versions.task.sums": (None, 2)}),
        ({"temperature": 0, "files.sums.yaml": "b"}, _same, {"files.sums.yaml": (None, "b")}),
    ],
    ids=["limit", "sampling", "protocol", "task version", "definition"],
)
def test_what_was_measured_otherwise_is_refused(
    tmp_path: Path, components: dict[str, Any], change: Change, differing: dict[str, Any]
) -> None:
    scores = [1.0, 0.0] * 50
    _write(tmp_path, "old", scores, components={"temperature": 0})
    _write(tmp_path, "new", scores, components=components, change=change)
    task = _compare(tmp_path).tasks[0]
    assert (task.verdict, task.difference, task.p, task.flips) == ("incomparable", None, None, None)
    assert {one.component: (one.baseline, one.candidate) for one in task.differences} == differing
    name = next(iter(differing))
    assert task.reason.startswith(f"not measured alike: {name} (")
    accepted = _compare(tmp_path, accept=(name.split(".")[0] + "*",)).tasks[0]
    assert accepted.verdict == "not distinguishable"
    assert [one.accepted for one in accepted.differences] == [True]


def test_another_limit_is_compared_on_the_shared_samples_when_accepted(tmp_path: Path) -> None:
    _write(tmp_path, "old", [1.0] * 60 + [0.0] * 40, components={})
    _write(tmp_path, "new", [1.0] * 50, components={"limit": 50}, change=lambda r: replace(r, limit=50))
    task = _compare(tmp_path, accept=("limit",)).tasks[0]
    assert task.baseline is not None
    assert (task.n_shared, task.baseline.value, task.difference) == (50, 1.0, 0.0)


def test_other_samples_are_refused_though_the_settings_agree(tmp_path: Path) -> None:
    _write(tmp_path, "old", [1.0, 0.0] * 10)
    _write(tmp_path, "new", [1.0, 0.0] * 9)
    task = _compare(tmp_path).tasks[0]
    assert task.differences == (Setting("samples", "20 samples, 2 only here", "18 samples, 0 only here"),)
    _write(tmp_path, "new", [1.0, 0.0] * 10)
    changed = [
        {"task": "sums", "doc_id": number, "expected": -1, "metrics": {"exact_match[none]": float(number % 2 == 0)}}
        for number in range(20)
    ]
    write_samples(tmp_path / "new" / "sums" / "samples.jsonl.gz", iter(changed))
    task = _compare(tmp_path).tasks[0]
    assert "20 of 20 samples expect another answer" in task.reason


def test_results_without_recorded_settings_are_refused_by_their_fingerprints(tmp_path: Path) -> None:
    def old_form(result: Result) -> Result:
        return replace(result, fingerprint=replace(result.fingerprint, components=UNSET))

    _write(tmp_path, "old", [1.0, 0.0], components={"a": 1}, change=old_form)
    _write(tmp_path, "new", [1.0, 0.0], components={"a": 2})
    assert [one.component for one in _compare(tmp_path).tasks[0].differences] == ["fingerprint.task"]
    _write(tmp_path, "new", [1.0, 0.0], components={"a": 1})
    assert _compare(tmp_path).tasks[0].verdict == "not distinguishable"


def test_what_is_missing_or_malformed_is_incomparable(tmp_path: Path) -> None:
    _write(tmp_path, "old", [1.0, 0.0], "gone")
    _write(tmp_path, "new", [1.0, 0.0], "added")
    for name in ("old", "new"):
        _write(tmp_path, name, [1.0, 0.0], "broken")
        _write(tmp_path, name, [1.0, 0.0], "damaged")
    _write(tmp_path, "old", [1.0, 0.0], "renamed", change=_with_metric(name="f1"))
    _write(tmp_path, "new", [1.0, 0.0], "renamed")
    (tmp_path / "old" / "broken" / "result.json").write_text("{}", encoding="utf-8")
    (tmp_path / "new" / "damaged" / "samples.jsonl.gz").write_bytes(b"no gzip")
    content = _compare(tmp_path, "gone", "added", "broken", "damaged", "renamed")
    assert content.counts["incomparable"] == 5
    reasons = {task.task: task.reason for task in content.tasks}
    assert reasons["gone"] == "the candidate has no result of this task"
    assert reasons["added"] == "the baseline has no result of this task"
    assert reasons["broken"].startswith("the result of the baseline is malformed: ")
    assert reasons["damaged"].startswith("the samples of the candidate cannot be read: ")
    assert reasons["renamed"] == "the baseline has no metric exact_match (filter none)"


def test_without_samples_the_values_are_compared_as_two_surveys(tmp_path: Path) -> None:
    _write(tmp_path, "old", [1.0] * 70 + [0.0] * 30, record=False)
    _write(tmp_path, "new", [1.0] * 40 + [0.0] * 60, record=False)
    task = _compare(tmp_path).tasks[0]
    assert (task.verdict, task.test, task.n_shared, task.flips) == ("worse", "unpaired z", None, None)
    for name in ("old", "new"):
        _write(tmp_path, name, [0.5] * 3, record=False, change=_with_metric(stderr=None))
    task = _compare(tmp_path).tasks[0]
    assert (task.verdict, task.p) == ("not distinguishable", None)
    assert task.reason.startswith("nothing tells how much of the difference is chance")


def test_the_tasks_of_an_earlier_run_are_those_in_its_folder(tmp_path: Path) -> None:
    earlier = Comparison("x", "new", "old", tmp_path / "earlier", (), 0.05, None)
    _write(tmp_path / "earlier", "old", [1.0, 0.0] * 20, "sums")
    _write(tmp_path / "earlier", "old", [1.0, 0.0] * 20, "dropped")
    config = make_config(tmp_path / "results", [make_deployment("new")], [make_task("sums")], run="now")
    _write(tmp_path / "results" / "now", "new", [1.0, 0.0] * 20, "sums")
    baseline, candidate = sides(config, earlier)
    assert (baseline.tasks, candidate.tasks) == (("dropped", "sums"), ("sums",))
    content = write_comparison(config, earlier, tmp_path / "x.json", tmp_path / "x.md")
    assert [(task.task, task.verdict) for task in content.tasks] == [
        ("sums", "not distinguishable"),
        ("dropped", "incomparable"),
    ]
    # The name that the earlier run gave itself, whatever its folder is called now.
    assert (content.baseline.run, content.gate) == ("demo", None)
    assert ComparisonRecord.read(tmp_path / "x.json") == content
    assert (tmp_path / "x.md").read_text(encoding="utf-8") == as_markdown(content)
