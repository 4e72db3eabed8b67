"""Data that lies in a folder with a README: rows that have changed are read, whatever caches have of that name."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fakes.openai_server import FakeOpenAIServer
from inspect_bench import InspectBench
from lm_eval_bench import GENERATE, LmEvalBench
from nemo_bench import README, nemo_bench
from runner_bench import RunnerBench

YAML = "task: mini\ndataset_path: {}\ntest_split: test\nmetadata: {{version: 1.0}}\n"
PYTHON = """
from inspect_ai.dataset import hf_dataset

@task
def {name}():
    rows = hf_dataset("{folder}", split="test", sample_fields=QUESTIONS)
    return Task(dataset=rows, solver=generate(), scorer=exact())
"""


def _write(folder: Path, *answers: str) -> Path:
    data = folder / "rows"
    data.mkdir(exist_ok=True)
    (data / "README.md").write_text(README.format("default", "test"))
    rows = [{"q": f"q{number} [[answer:{answer}]]", "a": "yes"} for number, answer in enumerate(answers)]
    (data / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return data


def _lm_eval(folder: Path, request: pytest.FixtureRequest) -> tuple[RunnerBench, Callable[..., Any]]:
    made = LmEvalBench(folder, request.getfixturevalue("lm_eval_python"))

    def ask(*answers: str) -> None:
        made.define("mini", GENERATE, [])
        (folder / "tasks" / "mini.yaml").write_text(YAML.format(_write(folder, *answers)) + GENERATE)

    return made, ask


def _inspect(folder: Path, request: pytest.FixtureRequest) -> tuple[RunnerBench, Callable[..., Any]]:
    # The environment of Inspect alone has no package for such folders.
    made = InspectBench(folder, request.getfixturevalue("inspect_evals_python"))

    def ask(*answers: str) -> None:
        made.define("mini", [], PYTHON.replace("{folder}", str(_write(folder, *answers))))

    return made, ask


def _simple_evals(folder: Path, _request: pytest.FixtureRequest) -> tuple[RunnerBench, Callable[..., Any]]:
    made = nemo_bench(folder, "simple_evals")
    return made, made.ask


@pytest.mark.parametrize("harness", [_lm_eval, _inspect, _simple_evals])
def test_rows_that_have_changed_are_read(
    tmp_path: Path, request: pytest.FixtureRequest, harness: Callable[..., Any]
) -> None:
    bench, ask = harness(tmp_path, request)
    prompts = []
    for answers in (["yes", "yes"], ["no", "yes", "no"]):
        ask(*answers)
        with FakeOpenAIServer() as server, bench.before(server, None, tries=1) as asked:
            ended = bench.run(asked)
        assert ended.status == 0, ended.log
        prompts.append([str(payload) for payload in server.payloads])
        shutil.rmtree(bench.work_dir)
        bench.answers_path.unlink(missing_ok=True)
    assert [len(sent) for sent in prompts] == [2, 3]
    assert sum("answer:no" in prompt for prompt in prompts[1]) == 2
