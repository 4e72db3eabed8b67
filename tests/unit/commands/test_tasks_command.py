"""`snakeval tasks`: harnesses, tasks by name, harness and kind of request, one task; as a table and as JSON."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from config_workflow import launchers_tasks
from snakeval.commands import main
from snakeval.commands.tasks.catalogue import OWN, Filter, TaskRow
from snakeval.system.checkout import ROOT


def _json(capsys: pytest.CaptureFixture[str], *words: str) -> Any:
    assert main(["tasks", *words, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_harnesses(capsys: pytest.CaptureFixture[str]) -> None:
    rows = {row["harness"]: row for row in _json(capsys)}
    registered = {name: row["tasks"] for name, row in rows.items() if name not in OWN}
    assert set(registered) == {path.stem for path in (ROOT / "config" / "harnesses").glob("*.yaml")}
    launchers = {harness for harness, _ in launchers_tasks()}
    assert (len(launchers), sum(registered[name] for name in launchers)) == (23, 421)
    assert (rows["inspect"]["tasks"], rows["inspect_evals"]["tasks"]) == (0, 250)
    assert rows["bfcl"]["package"] == "nvidia-bfcl==26.3"
    assert rows["bfcl"]["container"].startswith("nvcr.io/nvidia/eval-factory/bfcl:26.03@sha256:")
    assert rows["lm-evaluation-harness"]["run"] >= 101
    assert [(rows[name]["run"], rows[name]["run_in_image"]) for name in ("bfcl", "hle")] == [(6, 0), (0, 2)]
    assert main(["tasks"]) == 0
    shown = capsys.readouterr().out
    assert f"{sum(registered.values())} tasks in {len(registered)} harnesses beside lm-eval" in shown
    assert "simple_evals" in shown


def test_tasks_by_name_harness_and_protocol(capsys: pytest.CaptureFixture[str]) -> None:
    names = [row["name"] for row in _json(capsys, "hellaswag", "--harness", "lm-evaluation-harness")]
    assert names == ["lm-evaluation-harness.hellaswag", "lm-evaluation-harness.hellaswag_multilingual"]
    assert len(_json(capsys, "--harness", "simple_evals")) == 88
    assert {(row["harness"], row["runs"], row["image"]) for row in _json(capsys, "--protocol", "embeddings")} == {
        ("mteb", "nemo-evaluator", True)
    }
    found = [row["name"] for row in _json(capsys, "gsm8k*", "--protocol", "chat")]
    assert {"lm-eval.gsm8k", "lm-evaluation-harness.gsm8k_cot_llama"} <= set(found)
    assert all(name.partition(".")[2].startswith("gsm8k") for name in found)


def test_own_definitions_are_listed(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "plurals_of_mine.yaml").write_text("task: plurals_of_mine\n", encoding="utf-8")
    (row,) = _json(capsys, "plurals_of_mine", "--task-dir", str(tmp_path))
    assert (row["name"], row["runs"]) == ("lm-eval.plurals_of_mine", "lm-eval")
    assert main(["tasks", "show", "lm-eval.plurals_of_mine", "--task-dir", str(tmp_path)]) == 0
    assert yaml.safe_load(capsys.readouterr().out)["definition"] == str(tmp_path / "plurals_of_mine.yaml")


def test_tasks_of_inspect_are_listed(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    text = "from inspect_ai import task\n\n@task\ndef sums_of_mine(shots: int = 3): ...\n"
    (tmp_path / "mine.py").write_text(text, encoding="utf-8")
    (row,) = _json(capsys, "sums_of_mine", "--task-dir", str(tmp_path))
    assert (row["name"], row["runs"], row["protocols"]) == ("inspect.sums_of_mine", "inspect", ["chat"])
    shown = _json(capsys, "show", "inspect.sums_of_mine", "--task-dir", str(tmp_path))
    assert (shown["arguments"], shown["definition"]) == (["shots"], str(tmp_path / "mine.py"))
    assert shown["defaults"]["seed"] == 1234
    rows = {row["name"]: row["runs"] for row in _json(capsys, "--harness", "inspect_evals")}
    assert (rows["inspect_evals.gsm8k"], rows["inspect_evals.cybench"]) == ("inspect", "inspect, with docker")
    assert _json(capsys, "show", "inspect_evals.gsm8k")["harness"] == "inspect_evals"


def test_one_task(capsys: pytest.CaptureFixture[str]) -> None:
    shown = _json(capsys, "show", "simple_evals.AIME_2025")
    assert (shown["judge"], shown["secrets"]) == ("optional", ["JUDGE_API_KEY"])
    assert {"limit", "repeats", "request_timeout_s", "extra.judge.url"} <= set(shown["settings"])
    assert shown["defaults"]["extra"]["n_samples"] == 10
    shown = _json(capsys, "show", "lm-evaluation-harness.mmlu_pro_instruct")
    assert shown["native"]["task"] == "mmlu_pro"
    assert (shown["runs"], shown["native"]["num_fewshot"]) == ("lm-eval as mmlu_pro", 0)
    assert _json(capsys, "show", "lm-eval.gsm8k")["defaults"]["seed"] == 1234
    assert main(["tasks", "show", "hle.hle"]) == 0
    assert yaml.safe_load(capsys.readouterr().out)["judge"] == "required"


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (["show", "mmlu_pro"], 1, "expected: one of lm-eval.mmlu_pro, lm-evaluation-harness.mmlu_pro, simple_evals.mm"),
        (["show", "nix.nothing"], 1, "error: nix.nothing names no task, or several"),
        (["show"], 1, "takes one pattern"),
        (["a", "b"], 1, "takes one pattern"),
        (["--harness", "bfc"], 1, "(did you mean bfcl?)"),
        (["--protocol", "smoke"], 2, "invalid choice"),
    ],
)
def test_wrong_words(words: list[str], status: int, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    try:
        got = main(["tasks", *words])
    except SystemExit as ended:
        got = int(ended.code or 0)
    assert (got, said in capsys.readouterr().err) == (status, True)


def test_nothing_found(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tasks", "no-such-task"]) == 1
    assert capsys.readouterr().out == "no task fits\n"


@pytest.mark.parametrize(
    ("pattern", "fits"),
    [
        (None, True),
        ("MMLU", True),
        ("evals.mmlu", True),
        ("mmlu*", True),
        ("*pro", True),
        ("pro*", False),
        ("x", False),
    ],
)
def test_patterns(pattern: str | None, fits: bool) -> None:
    row = TaskRow("simple_evals.mmlu_pro", "simple_evals", ("chat",), None, (), None)
    assert Filter(pattern).takes(row) is fits
