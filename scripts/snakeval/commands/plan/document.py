"""The plan as JSON; `schemas/plan.schema.yaml` describes it."""

from collections.abc import Sequence
from typing import TypedDict

from snakeval.commands.plan.estimate import DeploymentPlan, Interval, TaskPlan, total, wall_of_run
from snakeval.config.model import Config

SCHEMA_VERSION = 1
# From a low to a high guess; None without data.
Guess = list[float] | None


class TaskEntry(TypedDict):
    """One task on one deployment."""

    task: str
    done: bool
    basis: str | None
    samples: int | None
    requests: Guess
    prompt_tokens: Guess
    completion_tokens: Guess
    duration_s: Guess


class DeploymentEntry(TypedDict):
    """One deployment with its tasks."""

    deployment: str
    tasks_without_data: int
    requests: Guess
    prompt_tokens: Guess
    completion_tokens: Guess
    load_s: Guess
    wall_s: Guess
    gpus: int | None
    gpu_hours: Guess
    cost: Guess
    tasks: list[TaskEntry]


class Totals(TypedDict):
    """The whole run."""

    tasks: int
    tasks_done: int
    tasks_without_data: int
    requests: Guess
    prompt_tokens: Guess
    completion_tokens: Guess
    wall_s: Guess
    gpu_hours: Guess
    cost: Guess


class PlanDocument(TypedDict):
    """What `snakeval plan --json` prints."""

    schema_version: int
    run: str
    currency: str | None
    deployments: list[DeploymentEntry]
    total: Totals


def plan_document(config: Config, plans: Sequence[DeploymentPlan]) -> PlanDocument:
    """Return the content of `snakeval plan --json`."""
    gpu_hours = total(plan.gpu_hours for plan in plans)
    return PlanDocument(
        schema_version=SCHEMA_VERSION,
        run=config.run,
        currency=config.execution.options.get("currency"),
        deployments=[_deployment(config, plan) for plan in plans],
        total=Totals(
            tasks=sum(len(plan.to_do) for plan in plans),
            tasks_done=sum(len(plan.tasks) - len(plan.to_do) for plan in plans),
            tasks_without_data=sum(plan.without_data for plan in plans),
            requests=_guess(total(plan.total("requests") for plan in plans)),
            prompt_tokens=_guess(total(plan.total("prompt_tokens") for plan in plans)),
            completion_tokens=_guess(total(plan.total("completion_tokens") for plan in plans)),
            wall_s=_guess(wall_of_run(plans, config.execution.max_deployments)),
            gpu_hours=_guess(gpu_hours),
            cost=_guess(cost_of(config, gpu_hours)),
        ),
    )


def cost_of(config: Config, gpu_hours: Interval | None) -> Interval | None:
    """Return GPU-hours times the configured price; None without either."""
    price = config.execution.options.get("price_per_gpu_hour")
    return gpu_hours.times(price) if gpu_hours is not None and price is not None else None


def _deployment(config: Config, plan: DeploymentPlan) -> DeploymentEntry:
    return DeploymentEntry(
        deployment=plan.deployment,
        tasks_without_data=plan.without_data,
        requests=_guess(plan.total("requests")),
        prompt_tokens=_guess(plan.total("prompt_tokens")),
        completion_tokens=_guess(plan.total("completion_tokens")),
        load_s=_guess(plan.load_s),
        wall_s=_guess(plan.wall_s),
        gpus=plan.gpus,
        gpu_hours=_guess(plan.gpu_hours),
        cost=_guess(cost_of(config, plan.gpu_hours)),
        tasks=[_task(task) for task in plan.tasks],
    )


def _task(task: TaskPlan) -> TaskEntry:
    return TaskEntry(
        task=task.task,
        done=task.done,
        basis=task.basis,
        samples=task.samples,
        requests=_guess(task.requests),
        prompt_tokens=_guess(task.prompt_tokens),
        completion_tokens=_guess(task.completion_tokens),
        duration_s=_guess(task.duration_s),
    )


def _guess(interval: Interval | None) -> Guess:
    return None if interval is None else [round(interval.low, 4), round(interval.high, 4)]
