"""Small tasks of Inspect, and one of inspect_evals on small data, and a way to run them."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from harness_cases import a_config, a_task
from runner_bench import RunnerBench
from snakeval.config.model import Config, Task
from snakeval.harnesses import harness_of

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
class InspectBench(RunnerBench):
    """Tasks in Python, data in JSON lines."""

    settings: dict[str, Any] = field(default_factory=lambda: {"parallelism": 4, "seed": 1234})

    harness = harness_of("inspect")

    def define(self, name: str, rows: Sequence[dict[str, Any]], body: str = PLAIN) -> Path:
        """Write a task's file and its data; returns the file."""
        tasks = self.folder / "tasks"
        tasks.mkdir(exist_ok=True)
        (tasks / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        file = tasks / f"{name}.py"
        file.write_text(TASK + body.replace("{name}", name))
        return file

    def task(self, name: str, **options: Any) -> tuple[Task, Config]:
        """See `RunnerBench.task`."""
        definition = self.folder / "tasks" / f"{name}.py"
        return replace(a_task("inspect", definition=definition, **options), task=name), a_config()

    def lose_data(self) -> None:
        """See `RunnerBench.lose_data`."""
        (self.folder / "tasks" / "mini.jsonl").unlink()


@dataclass
class InspectEvalsBench(InspectBench):
    """Task gsm8k of inspect_evals on a copy of its data that holds other questions."""

    harness = harness_of("inspect_evals")

    def ask(self, *answers: str) -> None:
        """Write questions, with what the server is told to answer; 42 is right."""
        folder = self.folder / "copies" / "openai" / "gsm8k" / "main"
        folder.mkdir(parents=True, exist_ok=True)
        rows = [{"question": f"q{i} [[answer:{text}]]", "answer": "So.\n#### 42"} for i, text in enumerate(answers)]
        for split in ("train", "test"):
            (folder / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))

    def task(self, name: str, **options: Any) -> tuple[Task, Config]:
        """See `RunnerBench.task`; whatever its name, it is gsm8k."""
        wanted = replace(a_task("inspect_evals", extra={"fewshot": 0}, **options), task="gsm8k")
        return wanted, a_config(data_dir=self.folder / "copies")

    def lose_data(self) -> None:
        """See `RunnerBench.lose_data`."""
        for file in (self.folder / "copies" / "openai" / "gsm8k" / "main").iterdir():
            file.unlink()
        (self.folder / "copies" / "openai" / "gsm8k" / "main").rmdir()
        (self.folder / "copies" / "openai" / "gsm8k").rmdir()
