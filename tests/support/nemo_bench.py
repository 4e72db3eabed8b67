"""Small data for NVIDIA's harnesses and a way to run them."""

import json
import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from fakes.openai_server import FakeOpenAIServer
from harness_cases import a_config, a_task
from runner_bench import Ended, RunnerBench
from snakeval.config.model import Config, Task
from snakeval.endpoint import Protocol
from snakeval.harnesses import harness_of
from snakeval.harnesses.adapters import adapters_of
from snakeval.run.gateway import GatewayState
from snakeval.system.environments import ensure_environment
from workspace import REPOSITORY

README = "---\nconfigs:\n- config_name: {}\n  data_files:\n  - {{split: {}, path: rows.jsonl}}\n---\n"
ANSWERS = ("Answer: A #### 42", "Answer: A #### 42", "Answer: A #### 42", "Answer: B #### 41")


@dataclass(frozen=True)
class NemoTask:
    """A task of one of NVIDIA's harnesses.

    Attributes:
        harness: Who knows it.
        task: Its name there.
        environment: What it runs in.
        dataset: Folder of its data, None when the harness brings it.
    """

    harness: str
    task: str
    environment: str
    dataset: str | None
    protocol: Protocol = Protocol.CHAT


TASKS: Mapping[str, NemoTask] = MappingProxyType(
    {
        "simple_evals": NemoTask("simple_evals", "mmlu_pro", "nvidia-simple-evals", "TIGER-Lab/MMLU-Pro"),
        "nvidia-lm-eval chat": NemoTask("lm-evaluation-harness", "gsm8k_cot_instruct", "nvidia-lm-eval", "gsm8k"),
        "nvidia-lm-eval completions": NemoTask(
            "lm-evaluation-harness", "adlr_gsm8k_cot_8_shot", "nvidia-lm-eval", "gsm8k", Protocol.COMPLETIONS
        ),
        "nvidia-lm-eval loglikelihood": NemoTask(
            "lm-evaluation-harness", "adlr_truthfulqa_mc2", "nvidia-lm-eval", "truthful_qa", Protocol.LOGLIKELIHOOD
        ),
        "bfcl": NemoTask("bfcl", "bfclv3_ast_prompting", "nvidia-bfcl", None),
    }
)


@dataclass
class NemoBench(RunnerBench):
    """Questions in a folder of their own, asked by the harness in its environment."""

    name: str = "simple_evals"
    settings: dict[str, Any] = field(default_factory=lambda: {"parallelism": 2, "temperature": 0.0})

    harness = harness_of("nemo-evaluator")

    @property
    def known(self) -> NemoTask:
        """What the bench's name stands for."""
        return TASKS[self.name]

    def ask(self, *answers: str) -> None:
        """Write questions with what the server is told to answer; A is right, for mmlu_pro, and 42 for gsm8k."""
        choices = [f"choice {letter}" for letter in "ABCDEFGHIJ"]
        questions = [f"q{number} [[answer:{answer}]]" for number, answer in enumerate(answers)]
        chosen = {"choices": ["yes", "no"], "labels": [1, 0]}
        rows: dict[str, tuple[str, str, list[dict[str, Any]]]] = {
            "TIGER-Lab/MMLU-Pro": (
                "default",
                "test",
                [{"question": q, "options": choices, "answer": "A"} for q in questions],
            ),
            "gsm8k": ("main", "test", [{"question": q, "answer": "So it is.\n#### 42"} for q in questions]),
            "truthful_qa": (
                "multiple_choice",
                "validation",
                [{"question": q, "mc1_targets": chosen, "mc2_targets": chosen} for q in questions],
            ),
        }
        for dataset, content in rows.items():
            self._write(dataset, *content)

    def _write(self, name: str, config: str, split: str, rows: Sequence[dict[str, Any]]) -> None:
        folder = self.folder / "data" / name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "README.md").write_text(README.format(config, split))
        (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))

    def task(self, name: str, **options: Any) -> tuple[Task, Config]:
        """See `RunnerBench.task`; whatever its name, it is the one that the bench's name stands for."""
        known = self.known
        if known.protocol is Protocol.LOGLIKELIHOOD:
            options["extra"] = {"tokenizer": str(letter_tokenizer(self.folder))} | options.get("extra", {})
        wanted = a_task(harness=known.harness, protocol=known.protocol, **options)
        wanted = replace(wanted, task=known.task, environment=known.environment, module="nemo-evaluator")
        return wanted, a_config(data_dir=self.folder / "data")

    def run_counted(
        self, server: FakeOpenAIServer, key: str | None = None, **options: Any
    ) -> tuple[Ended, GatewayState]:
        """Run the task behind a gateway that does what the task's adapters say; return what the gateway has counted."""
        wanted, _ = self.task("mini", **(self.settings | options))
        with self.guarded(server, key=key, adapters=adapters_of(wanted)) as asked:
            ended = self.run(asked, **options)
            return ended, asked.gateway.end()

    def lose_data(self) -> None:
        """See `RunnerBench.lose_data`."""
        assert self.known.dataset, "the harness brings its data"
        folder = self.folder / "data" / self.known.dataset
        for file in folder.iterdir():
            file.unlink()
        folder.rmdir()


def nemo_bench(folder: Path, name: str) -> NemoBench:
    """Return a bench with four questions, of which the server knows three."""
    made = NemoBench(folder, ensure_environment(REPOSITORY / "envs" / f"{TASKS[name].environment}.lock"), name=name)
    made.ask(*ANSWERS)
    return made


def letter_tokenizer(folder: Path) -> Path:
    """Write a tokenizer that counts as the stand-in server does with `letters`, and gives every text of them back."""
    path = folder / "tokenizer"
    path.mkdir(exist_ok=True)
    vocabulary = {letter: number for number, letter in enumerate(["<unk>", *string.printable])}
    content: dict[str, Any] = {
        "version": "1.0",
        "added_tokens": [],
        "normalizer": None,
        "pre_tokenizer": {"type": "Split", "pattern": {"Regex": r"[\s\S]"}, "behavior": "Isolated", "invert": False},
        "post_processor": None,
        "decoder": {"type": "Fuse"},
        "model": {"type": "WordLevel", "vocab": vocabulary, "unk_token": "<unk>"},
    }
    (path / "tokenizer.json").write_text(json.dumps(content))
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "clean_up_tokenization_spaces": False}
    special = dict.fromkeys(("unk_token", "pad_token", "eos_token"), "<unk>")
    (path / "tokenizer_config.json").write_text(json.dumps(settings | special))
    return path
