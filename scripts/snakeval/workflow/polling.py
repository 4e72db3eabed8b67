"""How often Snakemake's executors look at their jobs: the one place that reaches into Snakemake's own classes."""


def respect_status_interval() -> None:
    """Never pause longer between two checks than `--seconds-between-status-checks` says; safe to call twice.

    The Slurm executor (2.8.0) uses that option only for its first pause. Then each pause is 10 s longer, up to 180 s.
    Where tasks take minutes, a run would often notice late that they have ended.
    """
    from snakemake_interface_executor_plugins.executors.remote import RemoteExecutor

    pause = RemoteExecutor.sleep
    if getattr(pause, "respects_status_interval", False):
        return

    async def sleep(self: RemoteExecutor) -> None:
        longest_s = self.workflow.remote_execution_settings.seconds_between_status_checks
        self.next_seconds_between_status_checks = min(self.next_seconds_between_status_checks, longest_s)
        await pause(self)

    sleep.respects_status_interval = True  # type: ignore[attr-defined]
    RemoteExecutor.sleep = sleep
