"""Judges a comparison by a policy: GO, NO-GO or INCONCLUSIVE, with a reason for every task."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from snakeval.errors import GateError
from snakeval.results.compare.policy import ADVISORY, CRITICAL, SUPPORTING, Demand, Policy

GO, NO_GO, INCONCLUSIVE = "GO", "NO-GO", "INCONCLUSIVE"
PASS, FAIL, UNSURE, NOT_GATED = "pass", "fail", "inconclusive", "not gated"


def judge(comparison: Mapping[str, Any], policy: Policy) -> dict[str, Any]:
    """Return what the policy says to a comparison: the content of its `gate`.

    NO-GO when a critical task fails, or more supporting ones than are allowed. Else INCONCLUSIVE when of a critical or
    supporting task it cannot be told. Else GO. Advisory tasks decide nothing.
    """
    tasks = [*(_judge_task(task, policy) for task in comparison["tasks"]), *_absent(comparison, policy)]
    verdict, reason = _verdict(tasks, policy)
    return {
        "policy": str(policy.path),
        "policy_sha256": policy.sha256,
        "verdict": verdict,
        "passed": verdict not in policy.fail_on,
        "reason": reason,
        "tasks": tasks,
    }


def check_gate(comparison: Mapping[str, Any]) -> str:
    """Return in words why a comparison may stand.

    Raises:
        GateError: its policy makes the verdict fail the run or, without a policy, not one task could be compared.
    """
    gate = comparison["gate"]
    if gate is None:
        reasons = [f"{one['task']}: {one['reason']}" for one in comparison["tasks"] if one["verdict"] == "incomparable"]
        if len(reasons) == len(comparison["tasks"]):
            raise GateError("\n  ".join(["not one task can be compared:", *reasons]))
        return f"{len(comparison['tasks']) - len(reasons)} of {len(comparison['tasks'])} tasks compared, no policy"
    words = f"{gate['verdict']}: {gate['reason']}"
    if not gate["passed"]:
        raise GateError(words)
    return words


def _judge_task(task: Mapping[str, Any], policy: Policy) -> dict[str, Any]:
    demand = policy.demand(task["task"])
    judged: dict[str, Any] = {"task": task["task"], "tier": demand.tier if demand else None}
    judged |= dict.fromkeys(("outcome", "reason", "drop", "drop_low", "drop_high", "limit"))
    if task["difference"] is not None:
        sign = -1 if task["higher_is_better"] else 1
        judged["drop"] = sign * task["difference"]
        if task["ci_low"] is not None:
            judged["drop_low"], judged["drop_high"] = sorted((sign * task["ci_low"], sign * task["ci_high"]))
    if demand is None:
        judged["outcome"], judged["reason"] = NOT_GATED, "no entry of the policy names it"
        return judged
    if task["baseline"] and task["difference"] is not None:
        judged["limit"] = demand.limit(task["baseline"]["value"])
    judged["outcome"], judged["reason"] = _outcome(task, judged, demand)
    return judged


def _outcome(task: Mapping[str, Any], judged: Mapping[str, Any], demand: Demand) -> tuple[str, str]:
    if task["verdict"] == "incomparable":
        return UNSURE, f"incomparable: {task['reason']}"
    drop, low, high, limit = (judged[name] for name in ("drop", "drop_low", "drop_high", "limit"))
    if limit is None:
        if task["p"] is None:
            return UNSURE, task["reason"]
        worse = task["verdict"] == "worse"
        return (FAIL, "it is worse, and no limit allows that") if worse else (PASS, "it is not detectably worse")
    if low is None:
        return UNSURE, f"a drop of {drop:.4f} without an interval, against a limit of {limit:.4f}"
    words = f"the drop of {drop:.4f} ({low:.4f} to {high:.4f})"
    if high <= limit:
        return PASS, f"{words} is within the limit of {limit:.4f}"
    if low > limit:
        return FAIL, f"{words} is above the limit of {limit:.4f}"
    unsure = f"{words} spans the limit of {limit:.4f}"
    if demand.when_unsure == UNSURE:
        return UNSURE, f"{unsure}: more samples would tell"
    return demand.when_unsure, f"{unsure}, which counts as {demand.when_unsure} in this tier"


def _absent(comparison: Mapping[str, Any], policy: Policy) -> Iterator[dict[str, Any]]:
    """Yield the entries of the policy that decide no task: a critical task that was dropped must not pass."""
    deciding = {id(policy.demand(task["task"])) for task in comparison["tasks"]}
    for demand in policy.demands:
        if id(demand) not in deciding:
            reason = "no task of the comparison is judged by this entry of the policy"
            numbers = dict.fromkeys(("drop", "drop_low", "drop_high", "limit"))
            yield {"task": demand.match, "tier": demand.tier, "outcome": UNSURE, "reason": reason, **numbers}


def _verdict(tasks: Sequence[Mapping[str, Any]], policy: Policy) -> tuple[str, str]:
    def named(tier: str, outcome: str) -> list[str]:
        return [task["task"] for task in tasks if (task["tier"], task["outcome"]) == (tier, outcome)]

    critical, supporting = named(CRITICAL, FAIL), named(SUPPORTING, FAIL)
    unsure = named(CRITICAL, UNSURE) + named(SUPPORTING, UNSURE)
    if critical:
        return NO_GO, f"critical tasks dropped too much: {', '.join(critical)}"
    if len(supporting) > policy.allowed_failures:
        allowed = policy.allowed_failures
        return NO_GO, f"{len(supporting)} supporting tasks dropped too much ({allowed} may): {', '.join(supporting)}"
    if unsure:
        return INCONCLUSIVE, f"it cannot be told of: {', '.join(unsure)}"
    judged = [task for task in tasks if task["tier"] in (CRITICAL, SUPPORTING)]
    advisory = named(ADVISORY, FAIL)
    aside = f"; advisory tasks that dropped: {', '.join(advisory)}" if advisory else ""
    return GO, f"{len(judged)} critical and supporting tasks hold what the policy asks{aside}"
