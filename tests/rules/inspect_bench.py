"""A small task of Inspect and a way to run it, for the tests of the runner."""

import json
import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from fakes.openai_server import FakeOpenAIServer
from rules.lm_eval_bench import TIMEOUT_S, Ended
from snakeval.harnesses import Endpoint, HarnessCommand, harness_of
from unit.harness_cases import a_config, a_task

HARNESS = harness_of("inspect")
KEY = "sk-of-the-endpoint"

TASK = """
from inspect_ai import Epochs, Task, task
from inspect_ai.dataset import FieldSpec, Sample, json_dataset
from inspect_ai.model import GenerateConfig, get_model
from inspect_ai.scorer import Score, accuracy, choice, exact, match, mean, scorer, stderr
from inspect_ai.solver import generate, multiple_choice, solver

QUESTIONS = FieldSpec(input="q", target="a")
"""
PLAIN = """
@task
def {name}(hint: str = ""):
    return Task(dataset=json_dataset("{name}.jsonl", QUESTIONS), solver=generate(), scorer=match(location="exact"))
"""


@dataclass
class InspectBench:
    """Tasks in a folder of their own, run by Inspect's interpreter."""

    folder: Path
    python: Path
    settings: dict[str, Any] = field(
        default_factory=lambda: {"max_retries": 0, "request_timeout_s": 30, "parallelism": 4, "seed": 1234}
    )

    def define(self, name: str, rows: Sequence[dict[str, Any]], body: str = PLAIN) -> Path:
        """Write a task's file and its data; returns the file."""
        tasks = self.folder / "tasks"
        tasks.mkdir(exist_ok=True)
        (tasks / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        file = tasks / f"{name}.py"
        file.write_text(TASK + body.replace("{name}", name))
        return file

    def command(self, server: FakeOpenAIServer, task: str = "mini", **options: Any) -> HarnessCommand:
        """Return the runner's command line for a task of this bench."""
        known = {key: options.pop(key) for key in ("limit", "repeats") if key in options}
        definition = self.folder / "tasks" / f"{task}.py"
        wanted = a_task("inspect", definition=definition, **known, **(self.settings | options))
        endpoint = Endpoint(server.base_url, server.model, server.api_key)
        return HARNESS.command(replace(wanted, task=task), endpoint, self.work_dir, self.python, a_config())

    @property
    def work_dir(self) -> Path:
        """The folder of the harness's own files."""
        return self.folder / "work"

    def start(self, command: HarnessCommand, **environ: str) -> "subprocess.Popen[str]":
        """Start the runner; its output goes to log.txt."""
        env = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
        env |= {"XDG_DATA_HOME": str(self.folder / "data"), "XDG_CACHE_HOME": str(self.folder / "cache")}
        with (self.folder / "log.txt").open("w") as log:
            return subprocess.Popen(
                command.argv, env=env | command.env | environ, cwd=command.cwd, stdout=log, stderr=log, text=True
            )

    def run(self, server: FakeOpenAIServer, task: str = "mini", **options: Any) -> Ended:
        """Run a task to its end."""
        process = self.start(self.command(server, task, **options))
        try:
            status = process.wait(TIMEOUT_S)
        finally:
            process.kill()
        return Ended(status, (self.folder / "log.txt").read_text(), self.work_dir)
