"""Policies are read strictly, and their verdicts follow from the intervals."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from snakeval.errors import ConfigError, GateError
from snakeval.results.compare.gate import check_gate, judge
from snakeval.results.compare.policy import Policy, read_policy
from snakeval.results.compare.record import Gate, ScoreRecord, TaskRecord


def _policy(folder: Path, *entries: dict[str, Any], **keys: Any) -> Policy:
    path = folder / "policy.yaml"
    path.write_text(yaml.safe_dump({"tasks": list(entries), **keys}), encoding="utf-8")
    return read_policy(path)


def _task(name: str = "sums", drop: float = 0.0, half: float = 0.01, **keys: Any) -> TaskRecord:
    """A compared task with the interval drop - half to drop + half."""
    plain: dict[str, Any] = {
        "task": name,
        "verdict": "not distinguishable",
        "reason": "the difference may be chance",
        "baseline": ScoreRecord(0.5, 0.01, 1000),
        "higher_is_better": True,
        "difference": -drop,
        "ci_low": -drop - half,
        "ci_high": -drop + half,
        "p": 0.5,
    }
    return TaskRecord(**{**plain, **keys})


def _judged(policy: Policy, *tasks: TaskRecord) -> Gate:
    return judge(tasks, policy)


def _entry(match: str = "sums", tier: str = "critical", **keys: Any) -> dict[str, Any]:
    return {"match": match, "tier": tier, **keys}


@pytest.mark.parametrize(
    ("drop", "outcome", "verdict"),
    [(-0.05, "pass", "GO"), (0.0, "pass", "GO"), (0.03, "inconclusive", "INCONCLUSIVE"), (0.05, "fail", "NO-GO")],
)
def test_the_interval_decides_and_not_the_value(tmp_path: Path, drop: float, outcome: str, verdict: str) -> None:
    gate = _judged(_policy(tmp_path, _entry(max_drop=0.025)), _task(drop=drop))
    assert (gate.tasks[0].outcome, gate.verdict) == (outcome, verdict)
    assert gate.passed == (verdict == "GO")
    assert gate.tasks[0].drop == pytest.approx(drop)
    assert gate.tasks[0].drop_low == pytest.approx(drop - 0.01)


def test_without_a_policy_something_has_to_be_comparable() -> None:
    odd = _task("odd", verdict="incomparable", reason="not measured alike: limit (5 and 6)")
    assert check_gate(None, [_task("sums"), odd]) == "1 of 2 tasks compared, no policy"
    with pytest.raises(GateError, match=r"not one task can be compared:\n  odd: not measured alike: limit \(5 and 6\)"):
        check_gate(None, [odd])


def test_the_direction_of_the_metric_counts(tmp_path: Path) -> None:
    policy = _policy(tmp_path, _entry(max_drop=0.02))
    less: dict[str, Any] = {"higher_is_better": False}
    assert _judged(policy, _task(drop=-0.1, **less)).verdict == "NO-GO"
    assert _judged(policy, _task(drop=0.1, **less)).verdict == "GO"


def test_the_smaller_of_two_limits_counts(tmp_path: Path) -> None:
    several: list[dict[str, Any]] = [
        {"max_relative_drop": 0.1},
        {"max_drop": 0.03, "max_relative_drop": 0.1},
        {"max_drop": 0.03},
    ]
    limits = [_judged(_policy(tmp_path, _entry(**keys)), _task()).tasks[0].limit for keys in several]
    assert limits == pytest.approx([0.05, 0.03, 0.03])


def test_tiers_lend_their_limits_to_entries_without(tmp_path: Path) -> None:
    tiers = {"critical": {"max_drop": 0.1}}
    policy = _policy(tmp_path, _entry(), _entry("words", max_relative_drop=0.5), tiers=tiers)
    assert [task.limit for task in _judged(policy, _task(), _task("words")).tasks] == [0.1, 0.25]


def test_without_a_limit_it_must_not_be_worse(tmp_path: Path) -> None:
    policy = _policy(tmp_path, _entry())
    assert _judged(policy, _task(drop=0.3)).verdict == "GO"
    assert _judged(policy, _task(drop=0.3, verdict="worse")).verdict == "NO-GO"
    assert _judged(policy, _task(p=None, ci_low=None, ci_high=None)).verdict == "INCONCLUSIVE"


def test_tiers_weigh_differently(tmp_path: Path) -> None:
    limit: dict[str, Any] = {"max_drop": 0.02}
    entries = [_entry("c*", **limit), _entry("s*", "supporting", **limit), _entry("a*", "advisory", **limit)]
    policy = _policy(tmp_path, *entries, tiers={"supporting": {"allowed_failures": 1}})
    good, bad, unsure = {"drop": 0.0}, {"drop": 0.1}, {"drop": 0.02}

    def verdict(**drops: dict[str, float]) -> str:
        tasks = {"c1": good, "s1": good, "s2": good, "a1": good} | drops
        return str(_judged(policy, *(_task(name, **drop) for name, drop in tasks.items())).verdict)

    assert verdict() == "GO"
    assert verdict(a1=bad) == "GO"
    assert verdict(a1=unsure, s1=unsure) == "GO", "supporting tasks pass when unsure, by default"
    assert verdict(c1=unsure) == "INCONCLUSIVE"
    assert verdict(s1=bad) == "GO"
    assert verdict(s1=bad, s2=bad) == "NO-GO"
    assert verdict(c1=bad, s1=unsure) == "NO-GO"


@pytest.mark.parametrize(("when", "verdict"), [("pass", "GO"), ("fail", "NO-GO"), ("inconclusive", "INCONCLUSIVE")])
def test_the_policy_says_what_doubt_means(tmp_path: Path, when: str, verdict: str) -> None:
    policy = _policy(tmp_path, _entry(max_drop=0.02), tiers={"critical": {"when_unsure": when}})
    gate = _judged(policy, _task(drop=0.02))
    assert gate.verdict == verdict
    assert "spans the limit of 0.0200" in gate.tasks[0].reason


def test_what_was_not_compared_never_passes(tmp_path: Path) -> None:
    """Whatever doubt means: an incomparable task, and one that is not there at all."""
    lenient = {"critical": {"when_unsure": "pass"}}
    refused = _task(verdict="incomparable", reason="not measured alike", difference=None, ci_low=None, baseline=None)
    policy = _policy(tmp_path, _entry(max_drop=0.02), tiers=lenient)
    assert _judged(policy, refused).verdict == "INCONCLUSIVE"
    gate = _judged(_policy(tmp_path, _entry(), _entry("gone*"), tiers=lenient), _task())
    assert gate.verdict == "INCONCLUSIVE"
    assert [task.task for task in gate.tasks] == ["sums", "gone*"]


def test_the_first_entry_decides_and_others_are_not_gated(tmp_path: Path) -> None:
    policy = _policy(tmp_path, _entry("mmlu_law", "advisory"), _entry("mmlu*"))
    tasks = [_task("mmlu_law"), _task("mmlu_art"), _task("sums", drop=0.9)]
    gate = _judged(policy, *tasks)
    assert [task.tier for task in gate.tasks] == ["advisory", "critical", None]
    assert gate.tasks[2].outcome == "not gated"
    assert gate.verdict == "GO"


def test_the_policy_says_which_verdicts_fail_the_run(tmp_path: Path) -> None:
    entry = _entry(max_drop=0.02)
    for fail_on, drop, passed in (([], 0.1, True), (["NO-GO"], 0.02, True), (["NO-GO"], 0.1, False)):
        gate = _judged(_policy(tmp_path, entry, fail_on=fail_on), _task(drop=drop))
        assert gate.passed is passed
        if passed:
            assert check_gate(gate, []).startswith(gate.verdict)
        else:
            with pytest.raises(GateError, match="NO-GO: critical tasks dropped too much: sums"):
                check_gate(gate, [])


def test_a_wrong_policy_is_told_in_full(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as raised:
        _policy(tmp_path, {"match": "a", "tier": "crucial", "max_drp": 1}, {"tier": "critical"}, fail_on=["GO"])
    found = [(problem.where.rpartition(": ")[2], problem.what) for problem in raised.value.problems]
    assert sorted(found) == [
        ("fail_on.0", "is not a known value"),
        ("tasks.0.max_drp", "is not a known key"),
        ("tasks.0.tier", "is not a known value"),
        ("tasks.1.match", "is missing"),
    ]
    with pytest.raises(ConfigError, match="is not a file"):
        read_policy(tmp_path / "none.yaml")
