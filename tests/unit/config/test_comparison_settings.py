"""What keeps two results from being compared, what lets it pass, and files that are damaged."""

import gzip
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from builders import make_config, make_deployment, make_metric, make_outcome, make_task
from msgspec import UNSET
from snakeval.errors import HarnessError
from snakeval.results.compare.differences import Setting, differences
from snakeval.results.compare.task import TaskComparison, compare_task
from snakeval.results.result import Components, Fingerprint, Result, build_result
from snakeval.results.samples import read_samples, write_samples
from snakeval.run.paths import TaskPaths


def _result(task: Mapping[str, Any] | None = None, **changes: Any) -> Result:
    """Return a result of which `task` are the components, None for a result that has none."""
    components = UNSET if task is None else Components({}, dict(task))
    fingerprint = Fingerprint("d", changes.pop("hash", f"hash of {task}"), components)
    result = build_result(make_config(), make_deployment(), make_task(harness="lm-eval"), make_outcome(), 0.0, 1.0, 1)
    versions = {"snakeval": "1", "lm-eval": "0.4"}
    return replace(result, **{"fingerprint": fingerprint, "versions": versions, **changes})


CASES = {
    "limit": (_result({"limit": 5}, limit=5), "limit", None, 5),
    "protocol": (_result({}, protocol="completions"), "protocol", "chat", "completions"),
    "repeats": (_result({}, repeats=4), "repeats", 1, 4),
    "task version": (
        _result({}, versions={"lm-eval": "0.4", "task": {"sums": 2}}),
        "versions.task.sums",
        None,
        2,
    ),
    "harness version": (_result({}, versions={"lm_eval": "0.5"}), "versions.lm-eval", "0.4", "0.5"),
    "harness": (_result({}, harness="command"), "harness", "lm-eval", "command"),
    "harness's task": (_result({}, harness_task="sums_hard"), "task", "sums", "sums_hard"),
    "setting": (_result({"system_prompt": "Be brief."}), "system_prompt", None, "Be brief."),
}


@pytest.mark.parametrize(("candidate", "component", "before", "after"), CASES.values(), ids=CASES)
@pytest.mark.parametrize(
    ("pattern", "accepted"), [(None, False), ("{}", True), ("{}x", False), ("*", True), ("other", False)]
)
def test_a_setting_that_differs_is_named(
    candidate: Result, component: str, before: Any, after: Any, pattern: str | None, accepted: bool
) -> None:
    accept = (pattern.format(component),) if pattern else ()
    found = differences("task", _result({}), candidate, accept)
    assert found == [Setting(component, before, after, accepted)]


def test_the_version_of_snakeval_and_the_spelling_of_a_package_are_no_difference() -> None:
    assert not differences("task", _result({}), _result({}, versions={"snakeval": "2", "lm_eval": "0.4"}))


@pytest.mark.parametrize("accept", [(), ("limit",)])
def test_an_accepted_setting_hides_none_that_nobody_recorded(accept: tuple[str, ...]) -> None:
    """Without components the fingerprints may differ by more than the limit."""
    found = differences("task", _result(hash="a"), _result(hash="b", limit=5), accept)
    assert {one.component: one.accepted for one in found} == {"limit": bool(accept), "fingerprint.task": False}


def _write(
    files: TaskPaths,
    answers: Sequence[Sequence[float]],
    higher_is_better: bool = True,
    expected: str = "yes",
    first: int = 0,
) -> None:
    """Write a task of which each sample has as many answers as are given."""
    samples = [
        {"task": "sums", "doc_id": number, "expected": expected, "metrics": {"exact_match[none]": score}}
        for number, scores in enumerate(answers, start=first)
        for score in scores
    ]
    n, value = len(answers), sum(sum(scores) / len(scores) for scores in answers) / len(answers)
    metric = make_metric(value=value, n=n, higher_is_better=higher_is_better)
    outcome = make_outcome(metric, asked=n, answered=n)
    files.folder.mkdir(parents=True, exist_ok=True)
    build_result(make_config(), make_deployment(), make_task(), outcome, 0.0, 1.0, 1).write(files.result)
    write_samples(files.samples, iter(samples))


@pytest.fixture
def pair(tmp_path: Path) -> tuple[TaskPaths, TaskPaths]:
    """The files of baseline and candidate: equal, one answer per sample."""
    both = TaskPaths(tmp_path / "old" / "sums"), TaskPaths(tmp_path / "new" / "sums")
    for files in both:
        _write(files, [[1.0], [0.0]] * 10)
    return both


def _compare(pair: tuple[TaskPaths, TaskPaths], *accept: str) -> TaskComparison:
    return compare_task("sums", *pair, accept, 0.05)


def _flips(found: TaskComparison) -> dict[str, list[int]]:
    assert found.flips is not None
    return {way: [one["doc_id"] for one in samples] for way, samples in asdict(found.flips).items()}


@pytest.mark.parametrize(
    ("change", "component", "words", "shared"),
    [
        ({"first": 5}, "samples", "20 samples, 5 only here in the baseline", 15),
        ({"expected": "no"}, "samples.expected", "20 of 20 samples expect another answer", 20),
    ],
)
def test_other_samples_are_named_and_can_be_accepted(
    pair: tuple[TaskPaths, TaskPaths], change: dict[str, Any], component: str, words: str, shared: int
) -> None:
    _write(pair[1], [[1.0], [0.0]] * 10, **change)
    refused, accepted = _compare(pair), _compare(pair, component)
    assert refused.difference is None
    assert refused.refusal is not None
    assert f"{component} (" in refused.refusal
    assert words in refused.refusal
    assert [one.accepted for one in accepted.settings] == [True]
    assert (accepted.refusal, accepted.n_shared) == (None, shared)


def test_what_they_do_not_share_cannot_be_accepted_away(pair: tuple[TaskPaths, TaskPaths]) -> None:
    _write(pair[1], [[1.0], [0.0]] * 10, first=100)
    assert _compare(pair, "*").refusal == "they share no sample"


def test_flips_of_repeats_are_those_of_at_least_half_of_the_answers(pair: tuple[TaskPaths, TaskPaths]) -> None:
    right, half, wrong = [1.0, 1.0, 1.0, 0.0], [1.0, 1.0, 0.0, 0.0], [1.0, 0.0, 0.0, 0.0]
    _write(pair[0], [right, right, half, wrong, wrong, half])
    _write(pair[1], [right, wrong, right, wrong, half, wrong])
    found = _compare(pair)
    assert _flips(found) == {"right_to_wrong": [1, 5], "wrong_to_right": [4]}
    assert found.difference is not None
    assert (found.difference.test, found.n_shared) == ("sign-flip permutation", 6)


def test_repeats_that_changed_without_a_flip_are_not_called_unchanged(pair: tuple[TaskPaths, TaskPaths]) -> None:
    _write(pair[0], [[1.0, 1.0, 1.0]] * 4)
    _write(pair[1], [[1.0, 1.0, 0.0]] * 4)
    found = _compare(pair)
    assert _flips(found) == {"right_to_wrong": [], "wrong_to_right": []}
    assert found.verdict(0.5, 0.05) == ("not distinguishable", "the difference may be chance: p = 0.5 after correction")


@pytest.mark.parametrize("higher", [True, False])
def test_right_is_what_the_metric_calls_better(pair: tuple[TaskPaths, TaskPaths], higher: bool) -> None:
    """An error that scores 1 is a wrong answer."""
    right, wrong = ([1.0], [0.0]) if higher else ([0.0], [1.0])
    _write(pair[0], [right, right, wrong, wrong], higher)
    _write(pair[1], [right, wrong, right, wrong], higher)
    assert _flips(_compare(pair)) == {"right_to_wrong": [1], "wrong_to_right": [2]}


WHOLE = gzip.compress(b'{"doc_id": 1}\n' * 200, mtime=0)
DAMAGE = {
    "no gzip": b"plain text",
    "cut short": WHOLE[:-12],
    "overwritten": WHOLE[:10] + b"\xff" * 20,
    "no JSON": gzip.compress(b"{'doc_id': 1}\n"),
    "no object": gzip.compress(b"{}\n[1]\n"),
    "no UTF-8": gzip.compress(b'{"text": "\xff"}\n'),
}


@pytest.mark.parametrize("content", DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_samples_file_is_an_error_with_its_name(pair: tuple[TaskPaths, TaskPaths], content: bytes) -> None:
    samples = pair[1].samples
    samples.write_bytes(content)
    with pytest.raises(HarnessError, match=f"^{re.escape(str(samples))} is damaged: ."):
        list(read_samples(samples))
    refusal = _compare(pair, "*").refusal
    assert refusal is not None
    assert refusal.startswith(f"the samples of the candidate cannot be read: {samples} is damaged: ")


def test_no_samples_file_is_no_error(tmp_path: Path) -> None:
    assert list(read_samples(tmp_path / "samples.jsonl.gz")) == []


@pytest.mark.parametrize("content", [b"\xff\xfe", b"{", b"[]", b"{}"])
def test_a_damaged_result_is_a_refusal(pair: tuple[TaskPaths, TaskPaths], content: bytes) -> None:
    pair[0].result.write_bytes(content)
    refusal = _compare(pair, "*").refusal
    assert refusal is not None
    assert refusal.startswith("the result of the baseline is malformed: ")
