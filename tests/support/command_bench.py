"""A user's program that asks the endpoint, and a way to run it as harness `command` does."""

import sys
from dataclasses import dataclass, field, replace
from typing import Any

from harness_cases import a_config, a_task
from runner_bench import RunnerBench
from snakeval.config.model import Config, Task
from snakeval.harnesses import harness_of
from workspace import REPOSITORY

PROGRAM = [sys.executable, str(REPOSITORY / "tests" / "fakes" / "command_task.py")]


@dataclass
class CommandBench(RunnerBench):
    """Four sums, asked one after another."""

    settings: dict[str, Any] = field(default_factory=lambda: {"command": PROGRAM, "limit": 4})

    harness = harness_of("command")

    def task(self, name: str, **options: Any) -> tuple[Task, Config]:
        """See `RunnerBench.task`."""
        return replace(a_task("command", **options), task=name), a_config()
