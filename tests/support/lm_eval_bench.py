"""Small lm-eval tasks and a way to run them."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from harness_cases import a_config, a_task
from runner_bench import RunnerBench
from snakeval.config.model import Config, Task
from snakeval.endpoint import Protocol
from snakeval.harnesses import harness_of

GENERATE = """
output_type: generate_until
doc_to_text: "{{q}}"
doc_to_target: "{{a}}"
generation_kwargs: {until: ["\\n"], max_gen_toks: 16}
metric_list: [{metric: exact_match, aggregation: mean, higher_is_better: true}]
"""
CHOOSE = """
output_type: multiple_choice
doc_to_text: "{{q}}"
doc_to_choice: ["yes", "no"]
doc_to_target: "{{a}}"
metric_list: [{metric: acc, aggregation: mean, higher_is_better: true}]
"""


@dataclass
class LmEvalBench(RunnerBench):
    """Definitions in YAML, data in JSON lines."""

    harness = harness_of("lm-eval")

    def define(self, name: str, body: str, rows: Sequence[dict[str, Any]]) -> None:
        """Write a task's definition and its data."""
        tasks = self.folder / "tasks"
        tasks.mkdir(exist_ok=True)
        data = self.folder / f"{name}.jsonl"
        data.write_text("".join(json.dumps(row) + "\n" for row in rows))
        head = f"task: {name}\ndataset_path: json\ndataset_kwargs: {{data_files: {{test: {data}}}}}\ntest_split: test\n"
        (tasks / f"{name}.yaml").write_text(f"{head}metadata: {{version: 1.0}}\n{body}")

    def task(self, name: str, **options: Any) -> tuple[Task, Config]:
        """See `RunnerBench.task`."""
        options["protocol"] = Protocol(options.get("protocol", "chat"))
        wanted = a_task(definition=self.folder / "tasks" / f"{name}.yaml", **options)
        return replace(wanted, task=name), a_config(task_dirs=(self.folder / "tasks",))

    def lose_data(self) -> None:
        """See `RunnerBench.lose_data`."""
        (self.folder / "mini.jsonl").unlink()
