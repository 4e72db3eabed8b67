"""What can be known of a run on Lepton before anything is created: token, workspace, and every name that is used."""

import os
import time

from snakemake_executor_plugin_lepton.checks import Needs, find

from snakeval.backends.lepton.spec import named_token, secret_references
from snakeval.config.model import Config, Deployment
from snakeval.deployments.types import deployment_type
from snakeval.errors import Problem


def lepton_problems(config: Config) -> list[Problem]:
    """Return every finding at once; reads, and creates nothing."""
    execution, options = config.execution, config.execution.options
    group = options["node_group"]
    needs = Needs(ends_at=time.time() + options["planned_duration_s"])
    if group:
        needs.node_groups.append(("execution.node_group", group))
    needs.volumes += [("execution.volumes", one["from"], group) for one in options["volumes"]]
    needs.pull_secrets += [("execution.image_pull_secrets", name) for name in options["image_pull_secrets"]]
    served = [one for one in config.served if deployment_type(one.type).has_server]
    for deployment in served:
        _needs_of(deployment, config, needs)
    problems = [Problem(one.where, one.what, one.got, one.expected, one.hint) for one in find(needs)]
    for deployment in served:
        named = named_token(deployment, execution)
        variable = options["api_token_variable"] or named
        if named is not None and variable not in os.environ:
            hint = f"export {variable}=..., the value of the Lepton secret {named}; its value cannot be read from there"
            got = f"{variable} is not in the environment"
            where = f"deployment {deployment.name}: the key of its endpoint"
            problems.append(
                Problem(where, "is not known here", got, "the variable set where Snakemake is called", hint)
            )
    return problems


def _needs_of(deployment: Deployment, config: Config, needs: Needs) -> None:
    own, options = deployment.options.get("lepton_config") or {}, config.execution.options
    where, group = f"deployment {deployment.name}", options["node_group"]
    shape = own.get("resource_shape") or options["resource_shape"]
    needs.shapes.append((f"{where}: resource_shape", shape, group, "deployment"))
    needs.secrets += [
        (f"{where}: {name}", secret) for name, secret in secret_references(deployment, config.execution).items()
    ]
    named = named_token(deployment, config.execution)
    if named is not None:
        needs.secrets.append((f"{where}: api_tokens", named))
    cache = own.get("mounts") or {}
    if cache.get("enabled") and cache.get("from"):
        needs.volumes.append((f"{where}: lepton_config.mounts.from", cache["from"], group))
    needs.pull_secrets += [(f"{where}: image_pull_secrets", name) for name in own.get("image_pull_secrets") or []]
