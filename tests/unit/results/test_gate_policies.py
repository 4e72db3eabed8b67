"""A gate over whole policies: how many may fail, what each tier makes of doubt, and what a limit is."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from snakeval.results.compare.gate import check_gate, judge
from snakeval.results.compare.policy import Demand, Policy
from snakeval.results.compare.record import Gate, ScoreRecord, TaskRecord

NAMES = {"c": "critical", "s": "supporting", "a": "advisory"}
# Drops and the half width of their interval, against a limit of 0.02.
KINDS = {"good": (0.0, 0.01), "bad": (0.1, 0.01), "unsure": (0.02, 0.01)}


def _demand(match: str, tier: str, when_unsure: str = "inconclusive", **limits: float | None) -> Demand:
    return Demand(match, tier, **{"max_drop": None, "max_relative_drop": None, **limits}, when_unsure=when_unsure)


def _policy(*demands: Demand, allowed: int = 0, fail_on: tuple[str, ...] = ("NO-GO", "INCONCLUSIVE")) -> Policy:
    return Policy(Path("policy.yaml"), "0" * 64, demands, allowed, fail_on)


def _task(name: str, drop: float, half: float, less: bool = False, baseline: float = 0.5) -> TaskRecord:
    change = drop if less else -drop
    return TaskRecord(
        task=name,
        verdict="not distinguishable",
        reason="the difference may be chance",
        baseline=ScoreRecord(baseline, 0.01, 1000),
        higher_is_better=not less,
        difference=change,
        ci_low=change - half,
        ci_high=change + half,
        p=0.5,
    )


def _gate(kinds: Mapping[str, str], when: Mapping[str, str], allowed: int = 0) -> Gate:
    demands = [
        _demand(f"{letter}*", tier, when.get(letter, "inconclusive"), max_drop=0.02)
        for letter, tier in NAMES.items()
        if any(name.startswith(letter) for name in kinds)
    ]
    return judge([_task(name, *KINDS[kind]) for name, kind in kinds.items()], _policy(*demands, allowed=allowed))


@pytest.mark.parametrize(
    ("kinds", "when", "allowed", "verdict"),
    [
        ({"c": "good", "s": "bad"}, {}, 0, "NO-GO"),
        ({"c": "good", "s": "bad"}, {}, 1, "GO"),
        ({"c": "good", "s1": "bad", "s2": "bad"}, {}, 1, "NO-GO"),
        ({"c": "good", "s1": "bad", "s2": "bad"}, {}, 2, "GO"),
        ({"c": "bad", "s": "good"}, {}, 9, "NO-GO"),
        ({"c": "good", "s": "unsure"}, {"s": "fail"}, 0, "NO-GO"),
        ({"c": "good", "s": "unsure"}, {"s": "fail"}, 1, "GO"),
        ({"c": "good", "s1": "bad", "s2": "unsure"}, {}, 1, "INCONCLUSIVE"),
        ({"c": "good", "s1": "bad", "s2": "unsure"}, {"s": "pass"}, 1, "GO"),
        ({"c": "unsure", "s": "bad"}, {}, 0, "NO-GO"),
        ({"c": "unsure", "s": "good"}, {"s": "pass"}, 0, "INCONCLUSIVE"),
        ({"c": "good", "a": "bad"}, {}, 0, "GO"),
        ({"c": "good", "a": "unsure"}, {"a": "fail"}, 0, "GO"),
    ],
)
def test_verdict_of_tiers(kinds: dict[str, str], when: dict[str, str], allowed: int, verdict: str) -> None:
    gate = _gate(kinds, when, allowed)
    assert (gate.verdict, gate.passed) == (verdict, verdict == "GO")


def test_an_advisory_task_that_dropped_is_named_beside_a_go() -> None:
    assert _gate({"c": "good", "a": "bad"}, {}).reason.endswith("; advisory tasks that dropped: a")


@pytest.mark.parametrize(
    ("baseline", "limits", "limit"),
    [
        (0.8, {"max_drop": 0.02}, 0.02),
        (0.8, {"max_relative_drop": 0.05}, 0.04),
        (0.8, {"max_drop": 0.02, "max_relative_drop": 0.05}, 0.02),
        (0.2, {"max_drop": 0.02, "max_relative_drop": 0.05}, 0.01),
        (-4.0, {"max_relative_drop": 0.05}, 0.2),
        (0.0, {"max_relative_drop": 0.05}, 0.0),
        (0.8, {"max_drop": 0.0}, 0.0),
        (0.8, {}, None),
    ],
)
def test_limit(baseline: float, limits: dict[str, Any], limit: float | None) -> None:
    assert _demand("sums", "critical", **limits).limit(baseline) == pytest.approx(limit)
    gate = judge([_task("sums", 0.0, 0.01, baseline=baseline)], _policy(_demand("*", "critical", **limits)))
    assert gate.tasks[0].limit == pytest.approx(limit)


@pytest.mark.parametrize(("drop", "outcome"), [(0.1, "fail"), (0.02, "inconclusive"), (-0.1, "pass")])
@pytest.mark.parametrize("less", [False, True], ids=["more is better", "less is better"])
def test_a_drop_is_what_is_worse(drop: float, outcome: str, less: bool) -> None:
    gate = judge([_task("rate", drop, 0.01, less)], _policy(_demand("rate", "critical", max_drop=0.02)))
    (judged,) = gate.tasks
    assert judged.outcome == outcome
    assert [judged.drop, judged.drop_low, judged.drop_high] == pytest.approx([drop, drop - 0.01, drop + 0.01])


@pytest.mark.parametrize(
    ("tier", "verdict"), [("critical", "INCONCLUSIVE"), ("supporting", "INCONCLUSIVE"), ("advisory", "GO")]
)
@pytest.mark.parametrize("matches", ["gone", "gone*", "sums"])
def test_an_entry_that_decides_no_task_is_inconclusive(tier: str, verdict: str, matches: str) -> None:
    """Also one that an earlier entry leaves nothing to."""
    policy = _policy(_demand("s*", "critical", max_drop=0.02), _demand(matches, tier, "pass", max_drop=0.02))
    gate = judge([_task("sums", 0.0, 0.01)], policy)
    assert gate.verdict == verdict
    last = gate.tasks[-1]
    assert (last.task, last.tier, last.outcome) == (matches, tier, "inconclusive")
    assert last.reason == "no task of the comparison is judged by this entry of the policy"


def test_a_difference_without_an_interval_is_inconclusive_against_a_limit() -> None:
    task = replace(_task("sums", 0.0, 0.01), ci_low=None, ci_high=None)
    gate = judge([task], _policy(_demand("sums", "critical", "pass", max_drop=0.02)))
    assert gate.verdict == "INCONCLUSIVE"
    assert "without an interval, against a limit of 0.0200" in gate.reason + gate.tasks[0].reason


@pytest.mark.parametrize(
    ("fail_on", "kind", "passed"),
    [
        (("NO-GO", "INCONCLUSIVE"), "unsure", False),
        (("INCONCLUSIVE",), "unsure", False),
        (("INCONCLUSIVE",), "bad", True),
        (("NO-GO",), "unsure", True),
        ((), "bad", True),
    ],
)
def test_fail_on(fail_on: tuple[str, ...], kind: str, passed: bool) -> None:
    policy = _policy(_demand("sums", "critical", max_drop=0.02), fail_on=fail_on)
    gate = judge([_task("sums", *KINDS[kind])], policy)
    assert gate.passed is passed
    if passed:
        assert check_gate(gate, []) == f"{gate.verdict}: {gate.reason}"
