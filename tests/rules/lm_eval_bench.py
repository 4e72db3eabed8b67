"""A small lm-eval task and a way to run it, for the tests of the runner."""

import json
import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fakes.openai_server import FakeOpenAIServer
from snakeval.config.model import Protocol
from snakeval.harnesses import Endpoint, HarnessCommand, harness_of
from unit.harness_cases import a_config, a_task

HARNESS = harness_of("lm-eval")
TIMEOUT_S = 120

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


@dataclass(frozen=True)
class Ended:
    """What a run of the runner left; JSON files that are absent are None."""

    status: int
    log: str
    work_dir: Path

    def read(self, name: str) -> Any:
        """Return the content of a JSON file in the work folder."""
        path = self.work_dir / f"{name}.json"
        return json.loads(path.read_text()) if path.exists() else None

    @property
    def samples(self) -> list[dict[str, Any]]:
        """The lines of samples.jsonl."""
        return list(HARNESS.samples(self.work_dir))


@dataclass
class Bench:
    """Tasks in a folder of their own, run by lm-eval's interpreter."""

    folder: Path
    python: Path
    settings: dict[str, Any] = field(default_factory=lambda: {"max_retries": 0, "request_timeout_s": 30})

    def define(self, name: str, body: str, rows: Sequence[dict[str, Any]]) -> None:
        """Write a task's definition and its data."""
        tasks = self.folder / "tasks"
        tasks.mkdir(exist_ok=True)
        data = self.folder / f"{name}.jsonl"
        data.write_text("".join(json.dumps(row) + "\n" for row in rows))
        head = f"task: {name}\ndataset_path: json\ndataset_kwargs: {{data_files: {{test: {data}}}}}\ntest_split: test\n"
        (tasks / f"{name}.yaml").write_text(f"{head}metadata: {{version: 1.0}}\n{body}")

    def command(self, server: FakeOpenAIServer, task: str = "mini", **options: Any) -> HarnessCommand:
        """Return the runner's command line for a task of this bench."""
        known = {key: options.pop(key) for key in ("limit", "repeats") if key in options}
        protocol = Protocol(options.pop("protocol", "chat"))
        definition = self.folder / "tasks" / f"{task}.yaml"
        wanted = a_task(definition=definition, protocol=protocol, **known, **(self.settings | options))
        wanted = type(wanted)(**{**vars(wanted), "task": task})
        config = a_config(task_dirs=(self.folder / "tasks",))
        endpoint = Endpoint(server.base_url, server.model, server.api_key)
        return HARNESS.command(wanted, endpoint, self.folder / "work", self.python, config)

    def start(self, command: HarnessCommand) -> "subprocess.Popen[str]":
        """Start the runner; its output goes to log.txt."""
        env = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
        env |= {"HF_HOME": str(self.folder / "hf"), "HF_HUB_OFFLINE": "1"} | command.env
        with (self.folder / "log.txt").open("w") as log:
            return subprocess.Popen(command.argv, env=env, cwd=command.cwd, stdout=log, stderr=log, text=True)

    def run(self, server: FakeOpenAIServer, task: str = "mini", **options: Any) -> Ended:
        """Run a task to its end."""
        process = self.start(self.command(server, task, **options))
        try:
            status = process.wait(TIMEOUT_S)
        finally:
            process.kill()
        return Ended(status, (self.folder / "log.txt").read_text(), self.folder / "work")
