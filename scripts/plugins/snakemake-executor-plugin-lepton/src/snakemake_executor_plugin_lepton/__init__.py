"""Snakemake executor for jobs on DGX Cloud Lepton; the SDK is imported when the first job is submitted, not before."""

from snakemake_interface_executor_plugins.settings import CommonSettings

from .executor import Executor
from .settings import ExecutorSettings

common_settings = CommonSettings(
    non_local_exec=True,
    implies_no_shared_fs=False,
    job_deploy_sources=True,
    pass_default_storage_provider_args=True,
    pass_default_resources_args=True,
    # Values of variables never get into a command: Lepton fills them from its own secrets.
    pass_envvar_declarations_to_cmd=False,
    auto_deploy_default_storage_provider=False,
    init_seconds_before_status_checks=1,
)

__all__ = ["Executor", "ExecutorSettings", "common_settings"]
