"""The pause between two looks at the jobs of an executor."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from snakemake_interface_executor_plugins.executors.remote import RemoteExecutor
from snakeval.workflow.polling import respect_status_interval


@pytest.mark.parametrize(("wanted_s", "paused_s"), [(180, 10), (5, 5)])
def test_no_pause_is_longer_than_asked_for(monkeypatch: pytest.MonkeyPatch, wanted_s: int, paused_s: int) -> None:
    pauses: list[float] = []

    async def note(seconds: float) -> None:
        pauses.append(seconds)

    monkeypatch.setattr(RemoteExecutor, "sleep", RemoteExecutor.sleep)
    monkeypatch.setattr(asyncio, "sleep", note)
    respect_status_interval()
    respect_status_interval()
    executor: Any = SimpleNamespace(
        workflow=SimpleNamespace(remote_execution_settings=SimpleNamespace(seconds_between_status_checks=10)),
        next_seconds_between_status_checks=wanted_s,
    )
    asyncio.run(RemoteExecutor.sleep(executor))
    assert pauses == [paused_s]
