"""Small data for NVIDIA's harnesses and a way to run them, for the tests of nemo_runner."""

import json
import os
import subprocess
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from fakes.openai_server import FakeOpenAIServer
from rules.lm_eval_bench import Ended
from snakeval.harnesses import Endpoint, HarnessCommand, harness_of
from unit.harness_cases import a_config, a_task

HARNESS = harness_of("nemo-evaluator")
TIMEOUT_S = 240
README = "---\nconfigs:\n- config_name: {}\n  data_files:\n  - {{split: test, path: test.jsonl}}\n---\n"
TASKS = {
    "simple_evals": ("mmlu_pro", "nvidia-simple-evals"),
    "lm-evaluation-harness": ("gsm8k_cot_instruct", "nvidia-lm-eval"),
    "bfcl": ("bfclv3_ast_prompting", "nvidia-bfcl"),
}


@dataclass
class NemoBench:
    """Questions in a folder of their own, asked by the harness in its environment."""

    folder: Path
    python: Path
    harness: str = "simple_evals"
    settings: dict[str, Any] = field(
        default_factory=lambda: {"max_retries": 1, "request_timeout_s": 30, "parallelism": 2, "temperature": 0.0}
    )

    def ask(self, *answers: str) -> None:
        """Write questions with what the server is told to answer; A is right, for mmlu_pro, and 42 for gsm8k."""
        choices = [f"choice {letter}" for letter in "ABCDEFGHIJ"]
        questions = [f"q{number} [[answer:{answer}]]" for number, answer in enumerate(answers)]
        self._write(
            "TIGER-Lab/MMLU-Pro", "default", [{"question": q, "options": choices, "answer": "A"} for q in questions]
        )
        self._write("gsm8k", "main", [{"question": q, "answer": "So it is.\n#### 42"} for q in questions])

    def _write(self, name: str, config: str, rows: list[dict[str, str]] | list[dict[str, Any]]) -> None:
        folder = self.folder / "data" / name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "README.md").write_text(README.format(config))
        (folder / "test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))

    def command(self, server: FakeOpenAIServer, **options: Any) -> HarnessCommand:
        """Return the runner's command line."""
        known = {key: options.pop(key) for key in ("limit", "repeats") if key in options}
        key = options.pop("api_key", server.api_key)
        name, environment = TASKS[self.harness]
        task = replace(
            a_task(harness=self.harness, **known, **(self.settings | options)), task=name, environment=environment
        )
        config = a_config(data_dir=self.folder / "data")
        endpoint = Endpoint(server.base_url, server.model, key)
        return HARNESS.command(task, endpoint, self.folder / "work", self.python, config)

    def start(self, command: HarnessCommand) -> "subprocess.Popen[str]":
        """Start the runner; its output goes to log.txt."""
        env = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
        env |= {"HF_HOME": str(self.folder / "hf"), "HF_HUB_OFFLINE": "1"} | command.env
        with (self.folder / "log.txt").open("w") as log:
            return subprocess.Popen(command.argv, env=env, cwd=command.cwd, stdout=log, stderr=log, text=True)

    def run(self, server: FakeOpenAIServer, **options: Any) -> Ended:
        """Run the task to its end."""
        process = self.start(self.command(server, **options))
        try:
            status = process.wait(TIMEOUT_S)
        finally:
            process.kill()
        return Ended(status, (self.folder / "log.txt").read_text(), self.folder / "work")
