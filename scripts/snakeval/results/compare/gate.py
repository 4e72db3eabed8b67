"""Judges a comparison by a policy: GO, NO-GO or INCONCLUSIVE, with a reason for every task."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from snakeval.errors import GateError
from snakeval.results.compare.policy import ADVISORY, CRITICAL, SUPPORTING, Demand, Policy
from snakeval.results.compare.record import INCOMPARABLE, WORSE, Gate, GateTask, TaskRecord

GO, NO_GO, INCONCLUSIVE = "GO", "NO-GO", "INCONCLUSIVE"
PASS, FAIL, UNSURE, NOT_GATED = "pass", "fail", "inconclusive", "not gated"


def judge(tasks: Sequence[TaskRecord], policy: Policy) -> Gate:
    """Return what the policy says to the tasks of a comparison.

    NO-GO when a critical task fails, or more supporting ones than are allowed. Else INCONCLUSIVE when of a critical or
    supporting task it cannot be told. Else GO. Advisory tasks decide nothing.
    """
    judged = (*(_judge_task(task, policy) for task in tasks), *_absent(tasks, policy))
    verdict, reason = _verdict(judged, policy)
    return Gate(
        policy=str(policy.path),
        policy_sha256=policy.sha256,
        verdict=verdict,
        passed=verdict not in policy.fail_on,
        reason=reason,
        tasks=judged,
    )


def check_gate(gate: Gate | None, tasks: Sequence[TaskRecord]) -> str:
    """Return in words why a comparison may stand.

    Args:
        gate: What its policy says, None without one.
        tasks: Its tasks.

    Raises:
        GateError: the policy makes the verdict fail the run or, without a policy, not one task could be compared.
    """
    if gate is None:
        reasons = [f"{one.task}: {one.reason}" for one in tasks if one.verdict == INCOMPARABLE]
        if len(reasons) == len(tasks):
            raise GateError("\n  ".join(["not one task can be compared:", *reasons]))
        return f"{len(tasks) - len(reasons)} of {len(tasks)} tasks compared, no policy"
    words = f"{gate.verdict}: {gate.reason}"
    if not gate.passed:
        raise GateError(words)
    return words


def _judge_task(task: TaskRecord, policy: Policy) -> GateTask:
    demand = policy.demand(task.task)
    judged = GateTask(
        task=task.task,
        tier=demand.tier if demand else None,
        outcome=NOT_GATED,
        reason="no entry of the policy names it",
    )
    if task.difference is not None:
        sign = -1 if task.higher_is_better else 1
        judged = replace(judged, drop=sign * task.difference)
        if task.ci_low is not None and task.ci_high is not None:
            low, high = sorted((sign * task.ci_low, sign * task.ci_high))
            judged = replace(judged, drop_low=low, drop_high=high)
    if demand is None:
        return judged
    if task.baseline and task.difference is not None:
        judged = replace(judged, limit=demand.limit(task.baseline.value))
    outcome, reason = _outcome(task, judged, demand)
    return replace(judged, outcome=outcome, reason=reason)


def _outcome(task: TaskRecord, judged: GateTask, demand: Demand) -> tuple[str, str]:
    if task.verdict == INCOMPARABLE:
        return UNSURE, f"incomparable: {task.reason}"
    drop, low, high, limit = judged.drop, judged.drop_low, judged.drop_high, judged.limit
    if limit is None:
        if task.p is None:
            return UNSURE, task.reason
        worse = task.verdict == WORSE
        return (FAIL, "it is worse, and no limit allows that") if worse else (PASS, "it is not detectably worse")
    if low is None or high is None:
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


def _absent(tasks: Sequence[TaskRecord], policy: Policy) -> Iterator[GateTask]:
    """Yield the entries of the policy that decide no task: a critical task that was dropped must not pass."""
    deciding = {id(policy.demand(task.task)) for task in tasks}
    for demand in policy.demands:
        if id(demand) not in deciding:
            reason = "no task of the comparison is judged by this entry of the policy"
            yield GateTask(task=demand.match, tier=demand.tier, outcome=UNSURE, reason=reason)


def _verdict(tasks: Sequence[GateTask], policy: Policy) -> tuple[str, str]:
    def named(tier: str, outcome: str) -> list[str]:
        return [task.task for task in tasks if (task.tier, task.outcome) == (tier, outcome)]

    critical, supporting = named(CRITICAL, FAIL), named(SUPPORTING, FAIL)
    unsure = named(CRITICAL, UNSURE) + named(SUPPORTING, UNSURE)
    if critical:
        return NO_GO, f"critical tasks dropped too much: {', '.join(critical)}"
    if len(supporting) > policy.allowed_failures:
        allowed = policy.allowed_failures
        return NO_GO, f"{len(supporting)} supporting tasks dropped too much ({allowed} may): {', '.join(supporting)}"
    if unsure:
        return INCONCLUSIVE, f"it cannot be told of: {', '.join(unsure)}"
    judged = [task for task in tasks if task.tier in (CRITICAL, SUPPORTING)]
    advisory = named(ADVISORY, FAIL)
    aside = f"; advisory tasks that dropped: {', '.join(advisory)}" if advisory else ""
    return GO, f"{len(judged)} critical and supporting tasks hold what the policy asks{aside}"
