"""The settings of the executor, `--lepton-*` on the command line and in profiles.

Snakemake makes arguments of these fields and knows only the older forms of their types.
"""

# ruff: noqa: UP006, UP035, UP045

from dataclasses import dataclass, field
from typing import Any, List, Optional

from snakemake_interface_executor_plugins.settings import ExecutorSettingsBase


def _help(text: str, several: bool = False) -> dict[str, Any]:
    metadata: dict[str, Any] = {"help": text, "env_var": False, "required": False}
    return metadata | {"nargs": "+"} if several else metadata


@dataclass
class ExecutorSettings(ExecutorSettingsBase):
    """Where jobs run and what they see. What is said to be a resource may be set for each rule."""

    resource_shape: Optional[str] = field(
        default="cpu.small",
        metadata=_help("Resource shape of jobs without a resource lepton_resource_shape, for example cpu.small."),
    )
    node_group: Optional[str] = field(
        default=None,
        metadata=_help(
            "Name (not id) of the node group for jobs without a resource lepton_node_group; none leaves it to Lepton."
        ),
    )
    image: Optional[str] = field(default=None, metadata=_help("Image of jobs whose rule has no container: directive."))
    image_pull_secrets: List[str] = field(
        default_factory=list, metadata=_help("Names of the registry credentials of the workspace.", True)
    )
    mounts: List[str] = field(
        default_factory=list,
        metadata=_help(
            "Volumes that every job sees, each as PATH:MOUNT_PATH:VOLUME, for example /:/workspace:node-nfs:shared.",
            True,
        ),
    )
    secrets: List[str] = field(
        default_factory=list,
        metadata=_help(
            "Variables of jobs that Lepton fills from its own secrets, each as VARIABLE=SECRET or just NAME; no "
            "value ever leaves this machine.",
            True,
        ),
    )
    env: List[str] = field(
        default_factory=list,
        metadata=_help("Plain environment variables of jobs, each as NAME=VALUE; never secrets.", True),
    )
    python: Optional[str] = field(
        default=None,
        metadata=_help(
            "Interpreter that has Snakemake, as jobs see it: images rarely ship one. Without it the one that runs "
            "now, or `python` where software is not shared."
        ),
    )
    shared_memory_mb: Optional[int] = field(
        default=None, metadata=_help("Shared memory in MiB of jobs without a resource lepton_shared_memory_mb.")
    )
    priority_class: Optional[str] = field(
        default=None,
        metadata=_help(
            "Priority in the node group's queue for jobs without a resource lepton_priority_class, e.g. mid-4000."
        ),
    )
    start_timeout: int = field(
        default=3600,
        metadata=_help("Seconds that a job may wait for capacity and its image before it fails, with Lepton's reason."),
    )
    reason_interval: int = field(default=60, metadata=_help("Seconds between two questions why a job still waits."))
    token_grace: int = field(
        default=600,
        metadata=_help("Seconds to wait for a new token (`lep login`) after Lepton has refused the present one."),
    )
    outage_grace: int = field(
        default=600, metadata=_help("Seconds that Lepton may be away while a job is being submitted.")
    )
    keep_failed_jobs: bool = field(
        default=False, metadata=_help("Leave failed jobs in the workspace, to be looked at there.")
    )
