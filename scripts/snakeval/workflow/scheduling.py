"""In which order Snakemake runs the jobs of a run, and which resources hold them back."""

from dataclasses import dataclass
from functools import cached_property, partial

from snakeval.config.execution_types import execution_type
from snakeval.config.model import Config
from snakeval.evaluation.concurrency import RequestResources
from snakeval.workflow.inputs import Wildcards


@dataclass(frozen=True)
class Scheduling:
    """The priorities and resources of the rules.

    Attributes:
        config: The run.
    """

    config: Config

    @cached_property
    def _requests(self) -> RequestResources:
        return RequestResources(self.config.served, {task.name: task for task in self.config.tasks})

    def limits(self) -> dict[str, int]:
        """Return how much the run has of each resource that its jobs share."""
        return {"ready": 1, **self._requests.limits()}

    def requests(self) -> dict[str, "partial[int]"]:
        """Return, for each deployment with a limit, a function that says how many requests a task sends to it."""
        return self._requests.needs()

    def task_job_resources(self) -> dict[str, str]:
        """Return where the executor submits tasks, as far as the configuration and not the profile says it."""
        execution = self.config.execution
        known = execution_type(execution.type).task_resources
        named = {resource: execution.options.get(key) for key, resource in known.items()}
        return {name: value for name, value in named.items() if value is not None}

    def ready_slot(self, wildcards: Wildcards) -> int:
        """Return 1 where deployments come one after another: a `ready` that waits must be the only one.

        Auxiliary deployments have a server as long as a task may use them, beside the deployment that is evaluated.
        """
        evaluated = [deployment.name for deployment in self.config.deployments]
        limited = self.config.execution.max_deployments < len(evaluated)
        return 1 if limited and wildcards.deployment in evaluated else 0

    def deploy_priority(self, wildcards: Wildcards) -> int:
        """Return a priority above every `ready`: all deployments are known before the first one takes its turn."""
        return self._priority(wildcards, 500)

    def teardown_priority(self, wildcards: Wildcards) -> int:
        """Return the highest priority of the deployment: a server that is done makes room at once."""
        return self._priority(wildcards, 3)

    def ready_priority(self, wildcards: Wildcards) -> int:
        """Return a priority above `evaluate`: what holds the cores must not keep others from becoming ready."""
        return self._priority(wildcards, 2)

    def evaluate_priority(self, wildcards: Wildcards) -> int:
        """Return the lowest priority among the steps of the deployment."""
        return self._priority(wildcards, 1)

    def _priority(self, wildcards: Wildcards, step: int) -> int:
        """Return the priority of a step: the steps of the first deployment come before those of the next one."""
        names = [deployment.name for deployment in self.config.served]
        return 10 * (len(names) - names.index(wildcards.deployment)) + step


def attempt_number(_wildcards: Wildcards, attempt: int) -> int:
    """Return which attempt of its rule a job is, from 1."""
    return attempt
