"""From earlier timings to intervals: pure arithmetic."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from snakeval.commands.plan.timings import Timing, concurrency
from snakeval.config.model import Config, Deployment, Task
from snakeval.deployments.gpus import gpus_of

SECONDS_PER_HOUR = 3600.0


class Basis(StrEnum):
    """What an estimate rests on, best first."""

    SAME = "same evaluation"
    SCALED = "same deployment, scaled"
    OTHER = "another deployment, scaled"


# How far off an estimate may be beyond what was seen: a factor down and up. What ran under the same settings varies by
# the load of the machine; another number of samples has other prompts; another model has another speed altogether.
TIME_SPREAD = {Basis.SAME: 1.25, Basis.SCALED: 1.5, Basis.OTHER: 4.0}
TOKEN_SPREAD = {Basis.SAME: 1.0, Basis.SCALED: 1.1, Basis.OTHER: 1.5}


@dataclass(frozen=True)
class Interval:
    """From a low to a high guess."""

    low: float
    high: float

    def __add__(self, other: "Interval") -> "Interval":
        return Interval(self.low + other.low, self.high + other.high)

    def times(self, factor: float) -> "Interval":
        """Return both ends multiplied."""
        return Interval(self.low * factor, self.high * factor)


@dataclass(frozen=True)
class TaskPlan:
    """One task on one deployment. Everything is None for a task that is done, and where there is no data.

    Attributes:
        done: Whether Snakemake would not run it again.
        basis: What the estimate rests on.
        samples: Samples times repeats.
    """

    task: str
    done: bool
    basis: Basis | None = None
    samples: int | None = None
    requests: Interval | None = None
    prompt_tokens: Interval | None = None
    completion_tokens: Interval | None = None
    duration_s: Interval | None = None


@dataclass(frozen=True)
class DeploymentPlan:
    """One deployment; sums are over the tasks that are to do and for which there is data.

    Attributes:
        load_s: From start to ready; None without data, and for an endpoint that was there before.
        wall_s: From start to the end of its last task.
        gpus: That it holds; None when the configuration does not say.
    """

    deployment: str
    tasks: tuple[TaskPlan, ...]
    load_s: Interval | None
    wall_s: Interval | None
    gpus: int | None

    @property
    def to_do(self) -> tuple[TaskPlan, ...]:
        """The tasks that Snakemake would run."""
        return tuple(task for task in self.tasks if not task.done)

    @property
    def without_data(self) -> int:
        """How many of them nothing is known of."""
        return sum(task.duration_s is None for task in self.to_do)

    @property
    def gpu_hours(self) -> Interval | None:
        """GPUs times wall time."""
        if self.wall_s is None or self.gpus is None:
            return None
        return self.wall_s.times(self.gpus / SECONDS_PER_HOUR)

    def total(self, name: str) -> Interval | None:
        """Return the sum of one attribute of the tasks that are to do; None when none has it."""
        return total(getattr(task, name) for task in self.to_do)


def total(values: Iterable[Interval | None]) -> Interval | None:
    """Return the sum of what is known, None when nothing is."""
    known = [value for value in values if value is not None]
    return sum(known[1:], known[0]) if known else None


def plan_deployment(
    config: Config,
    deployment: Deployment,
    pending: frozenset[tuple[str, str]],
    timings: Sequence[Timing],
    load_times: Mapping[str, Sequence[float]],
) -> DeploymentPlan:
    """Return the plan of one deployment.

    Args:
        config: The run.
        deployment: Of the run.
        pending: Names of deployment and task of what Snakemake would run.
        timings: Of all earlier runs.
        load_times: Seconds from start to ready, by fingerprint.
    """
    tasks = [
        plan_task(deployment, task, timings) if (deployment.name, task.name) in pending else TaskPlan(task.name, True)
        for task in config.tasks
    ]
    durations = [task.duration_s for task in tasks if task.duration_s is not None]
    loads = load_times.get(deployment.fingerprint)
    load = Interval(min(loads), max(loads)) if loads and durations else None
    wall = _wall(durations, _concurrency(deployment, timings))
    return DeploymentPlan(
        deployment.name, tuple(tasks), load, wall + load if wall and load else wall, gpus_of(config, deployment)
    )


def plan_task(deployment: Deployment, task: Task, timings: Sequence[Timing]) -> TaskPlan:
    """Return the plan of a task that is to do, from the timings that are most like it."""
    basis, like = _most_like(deployment, task, timings)
    guesses = [(timing, count) for timing in like if (count := _samples(task, timing)) is not None]
    if basis is None or not guesses:
        return TaskPlan(task.name, done=False)

    def spread(name: str, factor: float) -> Interval | None:
        scaled = [
            value * count * task.repeats / (timing.samples * timing.repeats)
            for timing, count in guesses
            if (value := getattr(timing, name)) is not None
        ]
        return Interval(min(scaled) / factor, max(scaled) * factor) if scaled else None

    return TaskPlan(
        task=task.name,
        done=False,
        basis=basis,
        samples=max(count for _, count in guesses) * task.repeats,
        requests=spread("requests", 1.0),
        prompt_tokens=spread("prompt_tokens", TOKEN_SPREAD[basis]),
        completion_tokens=spread("completion_tokens", TOKEN_SPREAD[basis]),
        duration_s=spread("duration_s", TIME_SPREAD[basis]),
    )


def _most_like(deployment: Deployment, task: Task, timings: Sequence[Timing]) -> tuple[Basis | None, Sequence[Timing]]:
    kind = (task.harness, task.task, task.protocol.value)
    same_task = [one for one in timings if one.kind == kind and _samples(task, one) is not None]
    same_deployment = [one for one in same_task if one.deployment == deployment.fingerprint]
    same = [one for one in same_deployment if one.task == task.fingerprint]
    for basis, found in ((Basis.SAME, same), (Basis.SCALED, same_deployment), (Basis.OTHER, same_task)):
        if found:
            return basis, found
    return None, []


def _samples(task: Task, timing: Timing) -> int | None:
    """Return how many samples the task has, as far as an earlier run of it tells."""
    if task.limit is None:
        return timing.samples if timing.limit is None else None
    if timing.limit is None:
        return min(task.limit, timing.samples)
    # A limit counts for every member of a group of tasks.
    return max(1, round(timing.samples * task.limit / timing.limit))


def _concurrency(deployment: Deployment, timings: Sequence[Timing]) -> list[float]:
    own = [one for one in timings if one.deployment == deployment.fingerprint]
    return concurrency(own or timings) or [1.0]


def _wall(durations: Sequence[Interval], at_a_time: Sequence[float]) -> Interval | None:
    """Return the wall time of tasks that run beside each other as those of earlier runs did."""
    if not durations:
        return None
    whole = sum(durations[1:], durations[0])
    return Interval(
        max(max(one.low for one in durations), whole.low / max(at_a_time)),
        max(max(one.high for one in durations), whole.high / min(at_a_time)),
    )


def wall_of_run(plans: Sequence[DeploymentPlan], at_a_time: int) -> Interval | None:
    """Return the wall time of the run, whose deployments have servers `at_a_time` at most."""
    walls = [plan.wall_s for plan in plans if plan.wall_s is not None]
    return _wall(walls, [float(min(at_a_time, len(walls)))]) if walls else None
