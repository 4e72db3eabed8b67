"""What the settings say, read once: mounts, secrets by name, plain variables; and the check of all that they name."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from snakemake_interface_common.exceptions import WorkflowError

from .checks import Needs, find
from .jobs import Mount, assignments
from .settings import ExecutorSettings


@dataclass(frozen=True)
class Plan:
    """What every job gets, and what a check has to look at."""

    settings: ExecutorSettings
    mounts: tuple[Mount, ...]
    secrets: Mapping[str, str]
    env: Mapping[str, str]

    @classmethod
    def of(cls, settings: ExecutorSettings, declared: Mapping[str, str]) -> "Plan":
        """Read the settings; `declared` are Snakemake's `envvars:`, whose values are looked at by nobody.

        Raises:
            ValueError: a setting has the wrong form.
        """
        secrets = assignments(settings.secrets or [], lone=True)
        # A variable that the workflow declares has to come from somewhere, and its value must not leave this machine.
        secrets = {name: name for name in declared} | secrets
        env = assignments(settings.env or [], lone=False)
        both = sorted(set(env) & set(secrets))
        if both:
            raise ValueError(f"{', '.join(both)} is in --lepton-env and is a secret as well")
        return cls(settings, tuple(Mount.parse(text) for text in settings.mounts or []), secrets, env)

    def check(self, jobs: Sequence[Any]) -> None:
        """Have everything looked up that these jobs name; raises WorkflowError with every finding at once."""
        settings = self.settings
        needs = Needs(
            secrets=[("--lepton-secrets", name) for name in self.secrets.values()],
            pull_secrets=[("--lepton-image-pull-secrets", name) for name in settings.image_pull_secrets or []],
        )
        longest_min = 0
        for job in jobs:
            resources = _resources_of(job)
            group = resources.get("lepton_node_group", settings.node_group)
            if group:
                needs.node_groups.append((_where(resources, "node_group", job), group))
            shape = resources.get("lepton_resource_shape", settings.resource_shape)
            needs.shapes.append((_where(resources, "resource_shape", job), shape, group, "job"))
            needs.volumes += [("--lepton-mounts", mount.volume, group) for mount in self.mounts]
            runtime = resources.get("runtime")
            longest_min = max(longest_min, runtime if isinstance(runtime, int) else 0)
        needs.ends_at = time.time() + 60 * longest_min
        findings = find(needs)
        if findings:
            raise WorkflowError("\n\n".join(map(str, findings)))


def _where(resources: Mapping[str, Any], name: str, job: Any) -> str:
    return f"rule {job.name}: lepton_{name}" if f"lepton_{name}" in resources else f"--lepton-{name.replace('_', '-')}"


def _resources_of(job: Any) -> Mapping[str, Any]:
    """Return the job's resources; those that need inputs which are still to be made are not known yet."""
    try:
        found = dict(job.resources.items())
    except Exception:
        return {}
    # What stands for a value that is not known yet is a text of another type.
    return {name: value for name, value in found.items() if type(value) in (str, int)}
