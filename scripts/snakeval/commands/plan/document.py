"""The plan as JSON; `schemas/plan.schema.yaml` describes it."""

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from snakeval.commands.plan.estimate import DeploymentPlan, Interval, TaskPlan, total, wall_of_run
from snakeval.config.model import Config

SCHEMA_VERSION = 1
SUMS = ("requests", "prompt_tokens", "completion_tokens")


def plan_document(config: Config, plans: Sequence[DeploymentPlan]) -> dict[str, Any]:
    """Return the content of `snakeval plan --json`."""
    gpu_hours = total(plan.gpu_hours for plan in plans)
    return {
        "schema_version": SCHEMA_VERSION,
        "run": config.run,
        "currency": config.execution.options.get("currency"),
        "deployments": [_deployment(config, plan) for plan in plans],
        "total": {
            "tasks": sum(len(plan.to_do) for plan in plans),
            "tasks_done": sum(len(plan.tasks) - len(plan.to_do) for plan in plans),
            "tasks_without_data": sum(plan.without_data for plan in plans),
            **{name: _plain(total(plan.total(name) for plan in plans)) for name in SUMS},
            "wall_s": _plain(wall_of_run(plans, config.execution.max_deployments)),
            "gpu_hours": _plain(gpu_hours),
            "cost": _plain(cost_of(config, gpu_hours)),
        },
    }


def cost_of(config: Config, gpu_hours: Interval | None) -> Interval | None:
    """Return GPU-hours times the configured price; None without either."""
    price = config.execution.options.get("price_per_gpu_hour")
    return gpu_hours.times(price) if gpu_hours is not None and price is not None else None


def _deployment(config: Config, plan: DeploymentPlan) -> dict[str, Any]:
    return {
        "deployment": plan.deployment,
        "tasks_without_data": plan.without_data,
        **{name: _plain(plan.total(name)) for name in SUMS},
        "load_s": _plain(plan.load_s),
        "wall_s": _plain(plan.wall_s),
        "gpus": plan.gpus,
        "gpu_hours": _plain(plan.gpu_hours),
        "cost": _plain(cost_of(config, plan.gpu_hours)),
        "tasks": [_task(task) for task in plan.tasks],
    }


def _task(task: TaskPlan) -> dict[str, Any]:
    values = {field.name: getattr(task, field.name) for field in fields(task)}
    return {name: _plain(value) if isinstance(value, Interval) else value for name, value in values.items()}


def _plain(interval: Interval | None) -> list[float] | None:
    return None if interval is None else [round(interval.low, 4), round(interval.high, 4)]
