"""Exports to files: every number arrives, hostile names stay names, and what is missing is shown as missing."""

import csv
import io
import json
import math
import re
from pathlib import Path

import jsonschema
import pytest
import yaml
from builders import make_config, make_deployment, make_metric, make_task
from export_bench import export, files_of, finish, make_run
from hypothesis import given
from hypothesis import strategies as st
from snakeval.config.model import Config
from snakeval.results.exports.inspect_log import chat_messages
from snakeval.results.exports.tables import escape_latex, escape_markdown
from snakeval.results.rows import COLUMNS
from snakeval.run.paths import RunPaths
from snakeval.system.checkout import ROOT

MISSING = [{"deployment": "b", "task": "words"}]
HOSTILE = '\\input{/etc/passwd} $x^2$ 50% #1 a_b & {c} ~ <d> | "e" `f` --'
LATEX_COMMANDS = re.compile(r"\\(?:[\\{}$&#%_]|text[a-z]+\{\})")


@pytest.fixture
def run(tmp_path: Path) -> Config:
    return make_run(tmp_path)


def _text(config: Config, format: str, file: str) -> str:
    return (files_of(config, format) / file).read_text(encoding="utf-8")


def _paths(config: Config) -> RunPaths:
    return RunPaths(config.folder)


def test_csv_has_every_metric_and_what_is_missing(run: Config) -> None:
    record = export(run, "csv")
    rows = list(csv.DictReader(io.StringIO(_text(run, "csv", "results.csv"))))
    assert list(rows[0]) == list(COLUMNS)
    shown = [(row["deployment"], row["task"], row["subtask"], row["value"], row["status"]) for row in rows]
    assert shown == [
        ("a", "sums", "", "0.5", "ok"),
        ("a", "words", "", "0.25", "ok"),
        ("a", "group", "", "0.5", "ok"),
        ("a", "group", "easy", "0.5", "ok"),
        ("a", "group", "hard", "0.5", "ok"),
        ("b", "sums", "", "0.5", "ok"),
        ("b", "words", "", "", "missing"),
        ("b", "group", "", "0.5", "ok"),
        ("b", "group", "easy", "0.5", "ok"),
        ("b", "group", "hard", "0.5", "ok"),
    ]
    first = rows[0]
    assert (first["ci_low"], first["ci_high"], first["n"], first["limit"]) == ("0.15", "0.85", "4", "4")
    assert (first["task_fingerprint"], first["snakeval_version"]) == ("fingerprint-of-sums", "0.1.0")
    assert rows[1]["stderr"] == ""
    assert record["missing"] == MISSING
    assert record["results"] == 5


def test_json_holds_the_results_whole(run: Config) -> None:
    export(run, "json")
    content = json.loads(_text(run, "json", "results.json"))
    original = json.loads(_paths(run).task("a", "sums").result.read_text(encoding="utf-8"))
    assert content["results"][0] == original
    assert content["missing"] == MISSING


def test_a_damaged_result_is_missing(run: Config) -> None:
    _paths(run).task("a", "sums").result.write_text("{", encoding="utf-8")
    assert export(run, "json")["missing"] == [{"deployment": "a", "task": "sums"}, *MISSING]


def test_markdown_has_a_cell_for_everything(run: Config) -> None:
    export(run, "markdown")
    assert _text(run, "markdown", "results.md").splitlines()[:5] == [
        "| task   |   limit | metric               |   n |               a |               b |",
        "|--------|---------|----------------------|-----|-----------------|-----------------|",
        "| sums   |       4 | acc                  |   4 | 0.5000 ± 0.2500 | 0.5000 ± 0.2500 |",
        "| words  |     all | f1                   |   4 |          0.2500 |         missing |",
        "| group  |     all | exact_match (strict) |   4 | 0.5000 ± 0.1000 | 0.5000 ± 0.1000 |",
    ]


def test_latex_is_a_booktabs_table(run: Config) -> None:
    export(run, "latex")
    lines = _text(run, "latex", "results.tex").splitlines()
    body = lines[lines.index("    \\midrule") + 1 : lines.index("    \\bottomrule")]
    assert body == [
        r"    sums & 4 & acc & 4 & $0.5000 \pm 0.2500$ & $0.5000 \pm 0.2500$ \\",
        r"    words & all & f1 & 4 & 0.2500 & missing \\",
        r"    group & all & exact\_match (strict) & 4 & $0.5000 \pm 0.1000$ & $0.5000 \pm 0.1000$ \\",
    ]
    assert lines[lines.index("    \\toprule") + 1] == r"    Task & Limit & Metric & $n$ & a & b \\"
    assert r"  \begin{tabular}{lrlrrr}" in lines


def test_deployments_with_another_metric_or_count_get_a_line_of_their_own(tmp_path: Path) -> None:
    config = make_config(tmp_path, (make_deployment("a"), make_deployment("b")), (make_task("sums"),))
    finish(config, "a", "sums", [make_metric("acc", 0.5)], [])
    finish(config, "b", "sums", [make_metric("acc", 0.25, n=3)], [])
    export(config, "markdown")
    cells = [
        [one.strip() for one in line.split("|")[1:-1]] for line in _text(config, "markdown", "results.md").splitlines()
    ]
    assert cells[2:4] == [
        ["sums", "all", "acc", "4", "0.5000 ± 0.2500", ""],
        ["sums", "all", "acc", "3", "", "0.2500 ± 0.2500"],
    ]


def test_a_run_without_any_result_has_tables(tmp_path: Path) -> None:
    config = make_config(tmp_path)
    assert export(config, "latex")["results"] == 0
    assert "    sums & all &  &  & missing \\\\\n" in _text(config, "latex", "results.tex")


def test_hostile_names_stay_names_in_latex(tmp_path: Path) -> None:
    config = make_config(tmp_path, (make_deployment(HOSTILE.replace("/", ".")),), (make_task("sums"),))
    finish(config, config.deployments[0].name, "sums", [make_metric(HOSTILE, 0.5)], [])
    export(config, "latex")
    text = _text(config, "latex", "results.tex")
    assert r"\textbackslash{}input\{.etc.passwd\} \$x\textasciicircum{}2\$ 50\% \#1 a\_b \& \{c\}" in text
    assert "\\input" not in text
    # What is left without Snakeval's own commands has nothing that TeX would act on but the table's own.
    row = next(line for line in text.splitlines() if line.strip().startswith("sums"))
    assert len(re.findall(r"(?<!\\)&", row)) == 4


@given(st.text())
def test_latex_has_no_active_character_left(text: str) -> None:
    escaped = escape_latex(text)
    assert not re.search(r"[\\{}$&#%_^~<>|\"`]", LATEX_COMMANDS.sub("", escaped).replace("-{}", "-"))
    assert "\n" not in escaped
    assert "--" not in escaped


@given(st.text())
def test_markdown_cells_stay_cells(text: str) -> None:
    escaped = escape_markdown(text)
    assert not re.search(r"(?<!\\)(?:\\\\)*\|", escaped)
    assert "\n" not in escaped


def test_lm_eval_files_have_its_names_and_keys(run: Config) -> None:
    export(run, "lm-eval")
    date = "2025-10-09T08-54-20.500000"
    folder = files_of(run, "lm-eval")
    assert sorted(file.name for file in (folder / "a").iterdir()) == [
        f"results_{date}.json",
        *(f"samples_{name}_{date}.jsonl" for name in ("easy", "hard", "sums")),
    ]
    content = json.loads((folder / "a" / f"results_{date}.json").read_text(encoding="utf-8"))
    assert content["results"]["sums"]["acc,none"] == 0.5
    assert content["results"]["words"]["f1_stderr,none"] == "N/A"
    assert content["group_subtasks"] == {"group": ["easy", "hard"]}
    assert content["model_name_sanitized"] == "org__model-a"
    assert content["config"]["limit"] == 4
    lines = (folder / "a" / f"samples_sums_{date}.jsonl").read_text(encoding="utf-8").splitlines()
    samples = [json.loads(line) for line in lines]
    assert [(one["doc_id"], one["acc"], one["resps"]) for one in samples][:2] == [
        (0, 0.5, [["1", "1"]]),
        (1, 0.5, [["2", "2"]]),
    ]
    lines = (folder / "a" / f"samples_hard_{date}.jsonl").read_text(encoding="utf-8").splitlines()
    filters = [(one["filter"], one["doc_id"], one["exact_match"]) for one in map(json.loads, lines)]
    assert filters == [("loose", 0, 1.0), ("loose", 1, 1.0), ("strict", 0, 0.0), ("strict", 1, 1.0)]


def test_subtasks_that_two_tasks_share_keep_apart(tmp_path: Path) -> None:
    tasks = (make_task("zero-shot"), make_task("five-shot"))
    config = make_config(tmp_path, tasks=tasks)
    for task, value in zip(tasks, (0.25, 0.75), strict=True):
        metrics = [make_metric("acc", value), make_metric("acc", value, subtask="easy")]
        finish(config, "tiny", task.name, metrics, [{"task": "easy", "doc_id": 1, "metrics": {"acc": value}}])
    export(config, "lm-eval")
    (file,) = files_of(config, "lm-eval").glob("tiny/results_*.json")
    results = json.loads(file.read_text(encoding="utf-8"))["results"]
    assert {name: entry["acc,none"] for name, entry in results.items()} == {
        "zero-shot": 0.25,
        "zero-shot.easy": 0.25,
        "five-shot": 0.75,
        "five-shot.easy": 0.75,
    }


def test_inspect_logs_hold_every_sample_once(run: Config) -> None:
    export(run, "inspect")
    logs = [json.loads(file.read_text(encoding="utf-8")) for file in sorted(files_of(run, "inspect").glob("*.json"))]
    by_name = {(one["eval"]["metadata"]["deployment"], one["eval"]["task"]): one for one in logs if "eval" in one}
    assert len(by_name) == 5
    sums = by_name["a", "sums"]
    assert sums["eval"]["config"] == {"limit": 4, "epochs": 2}
    ids = [(sample["id"], sample["epoch"]) for sample in sums["samples"]]
    assert ids == [(number, epoch) for epoch in (1, 2) for number in range(4)]
    group = by_name["b", "group"]
    assert [sample["id"] for sample in group["samples"]] == ["easy/0", "easy/1", "hard/0", "hard/1"]
    assert [score["name"] for score in group["results"]["scores"]] == [
        "exact_match[strict]",
        "easy/exact_match[strict]",
        "hard/exact_match[strict]",
    ]


def test_prompts_of_several_messages_are_chats_again() -> None:
    chat = "<system>\nBe brief.\n\n<user>\nOne?\n\nTwo?\n\n<assistant>\nThree."
    assert [(one["role"], one["content"]) for one in chat_messages(chat)] == [
        ("system", "Be brief."),
        ("user", "One?\n\nTwo?"),
        ("assistant", "Three."),
    ]
    plain = "Which of <user>\nand\n\n<user>\nis it?"
    assert [(one["role"], one["content"]) for one in chat_messages(plain)] == [("user", plain)]


def test_the_files_of_an_earlier_export_do_not_stay(run: Config) -> None:
    export(run, "lm-eval")
    (folder,) = files_of(run, "lm-eval").glob("b")
    for task in ("sums", "group"):
        _paths(run).task("b", task).result.unlink()
    record = export(run, "lm-eval")
    assert not folder.exists()
    assert all(file["path"].startswith("a/") for file in record["files"])


@pytest.mark.parametrize("format", ["csv", "json", "markdown", "latex", "lm-eval", "inspect"])
def test_the_record_is_valid_and_two_exports_write_the_same(run: Config, format: str) -> None:
    record = export(run, format)
    schema = yaml.safe_load((ROOT / "schemas" / "export-record.schema.yaml").read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator(schema).validate(record)
    assert export(run, format)["files"] == record["files"]


@pytest.mark.parametrize("format", ["inspect", "lm-eval"])
def test_samples_of_a_program_that_knows_little(tmp_path: Path, format: str) -> None:
    config = make_config(tmp_path)
    odd = {
        "doc_id": [1],
        "repeat": "x",
        "answer": {"a": 1},
        "metrics": {"acc": math.nan},
        "prompt_tokens": "9",
        "latency_s": "long",
    }
    finish(config, "tiny", "sums", [make_metric()], [odd, odd, {"doc_id": None}, {}])
    export(config, format)
    if format == "inspect":
        (log,) = files_of(config, format).glob("2*.json")
        samples = json.loads(log.read_text(encoding="utf-8"))["samples"]
        assert [(one["id"], one["epoch"], one["total_time"]) for one in samples] == [(n, 1, None) for n in range(4)]
        assert samples[0]["output"]["completion"] == '{"a": 1}'
    else:
        (file,) = files_of(config, format).glob("tiny/samples_*.jsonl")
        lines = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
        assert [(one["doc_id"], one["filter"], one["metrics"]) for one in lines] == [(n, "none", []) for n in range(4)]
