"""Exports with the real clients and readers: W&B's files, pyarrow, Inspect, lm-eval."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from export_bench import assert_nowhere, export, files_of, make_run
from snakeval.config.model import Config
from snakeval.errors import ExportError
from snakeval.system.checkout import ENVS
from snakeval.system.environments import ensure_environment
from snakeval.system.ports import LOOPBACK, free_port

KEY = "planted-secret"


@pytest.fixture
def run(tmp_path: Path) -> Config:
    return make_run(tmp_path)


def _read(family: str, program: str, *arguments: str) -> Any:
    """Run a program in an environment and return the JSON that it prints last."""
    python = ensure_environment(ENVS / f"{family}.lock")
    done = subprocess.run(
        [str(python), "-c", program, *arguments], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_wandb_offline_runs_hold_the_results(run: Config, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MY_KEY", KEY * 4)
    first = export(run, "wandb", tags=["nightly"], api_key_name="MY_KEY")
    assert [(one["action"], one["url"]) for one in first["sent"]] == [("written", None)] * 5
    folders = sorted(files_of(run, "wandb").glob("wandb/offline-run-*"))
    assert len(folders) == 5
    records = _read("export-wandb", _READ_WANDB, *(str(next(one.glob("*.wandb"))) for one in folders))
    by_name = {one["name"]: one for one in records}
    sums = by_name["demo/a/sums"]
    assert (sums["project"], sums["group"], sums["job_type"], sums["tags"]) == (
        "snakeval",
        "demo",
        "evaluation",
        ["nightly"],
    )
    assert (sums["config"]["limit"], sums["config"]["served_model_name"]) == (4, "org/model-a")
    assert (sums["summary"]["sums/acc"], sums["summary"]["sums/acc_ci_high"]) == (0.5, 0.85)
    assert sums["artifacts"] == [["result.json", "samples.jsonl.gz"]]
    assert_nowhere(tmp_path, KEY)
    # A second export replaces the files of the first and speaks of the same runs.
    second = export(run, "wandb")
    assert [one["id"] for one in second["sent"]] == [one["id"] for one in first["sent"]]
    assert len(list(files_of(run, "wandb").glob("wandb/offline-run-*"))) == 5


_READ_WANDB = """
import json, struct, sys
from wandb.proto import wandb_internal_pb2 as pb
BLOCK, HEADER = 32768, 7

def records(data):
    # LevelDB's log format: blocks of chunks, each with checksum, length and kind (1 whole, 2 first, 3 middle, 4 last).
    assert data.startswith(b":W&B")
    position, record = HEADER, b""
    while position + HEADER <= len(data):
        if BLOCK - position % BLOCK < HEADER:
            position += BLOCK - position % BLOCK
        _, length, kind = struct.unpack("<IHB", data[position : position + HEADER])
        record += data[position + HEADER : position + HEADER + length]
        position += HEADER + length
        if kind in (1, 4):
            yield record
            record = b""

found = []
for path in sys.argv[1:]:
    one = {"summary": {}, "artifacts": []}
    with open(path, "rb") as stream:
        all_records = list(records(stream.read()))
    for data in all_records:
        record = pb.Record()
        record.ParseFromString(data)
        kind = record.WhichOneof("record_type")
        if kind == "run":
            run = record.run
            one |= {"name": run.display_name, "project": run.project, "group": run.run_group, "id": run.run_id}
            one |= {"job_type": run.job_type, "tags": list(run.tags)}
            one["config"] = {item.key: json.loads(item.value_json) for item in run.config.update}
        elif kind == "summary":
            for item in record.summary.update:
                one["summary"]["/".join(item.nested_key) or item.key] = json.loads(item.value_json)
        elif kind == "artifact":
            one["artifacts"].append(sorted(item.path for item in record.artifact.manifest.contents))
    found.append(one)
print(json.dumps(found))
"""


def test_wandb_without_a_key_is_told(run: Config, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "no-netrc"))
    with pytest.raises(ExportError, match=r"UsageError: .*(API key|login)"):
        export(run, "wandb", mode="online", base_url=f"http://{LOOPBACK}:{free_port(LOOPBACK)}")


def test_parquet_has_rows_and_samples(run: Config) -> None:
    export(run, "parquet")
    program = """
import json, sys
import pyarrow.parquet as pq
results, samples = (pq.read_table(f"{sys.argv[1]}/{name}.parquet") for name in ("results", "samples"))
print(json.dumps([results.to_pylist(), samples.to_pylist(), str(results.schema.field("value").type)]))
"""
    results, samples, kind = _read("export-parquet", program, str(files_of(run, "parquet")))
    assert kind == "double"
    assert [row["value"] for row in results if row["task"] == "words"] == [0.25, None]
    assert [row["status"] for row in results if row["task"] == "words"] == ["ok", "missing"]
    assert len(samples) == 2 * (8 + 4)
    assert samples[0] | {"doc_id": "0"} == samples[0]
    assert (samples[0]["metrics"], samples[0]["latency_s"]) == ([["acc", 1.0]], 0.25)
    assert samples[8]["answer"] == '["one", "two"]'


def test_inspect_reads_its_logs(run: Config) -> None:
    export(run, "inspect")
    program = """
import json, sys
from inspect_ai.log import list_eval_logs, read_eval_log
found = []
for info in list_eval_logs(sys.argv[1]):
    log = read_eval_log(info.name)
    scores = {score.name: {name: one.value for name, one in score.metrics.items()} for score in log.results.scores}
    samples = [[one.id, one.epoch, {name: score.value for name, score in one.scores.items()}] for one in log.samples]
    found.append({"task": log.eval.task, "model": log.eval.model, "status": log.status, "scores": scores,
                  "samples": samples, "stop": [one.output.stop_reason for one in log.samples]})
print(json.dumps(found))
"""
    logs = _read("inspect", program, str(files_of(run, "inspect")))
    assert {one["status"] for one in logs} == {"success"}
    by_name = {(one["model"], one["task"]): one for one in logs}
    assert len(by_name) == 5
    sums = by_name["openai-api/a/org/model-a", "sums"]
    assert sums["scores"] == {"acc": {"mean": 0.5, "stderr": 0.25, "ci_low": 0.15, "ci_high": 0.85}}
    assert sums["samples"][:2] == [[0, 1, {"acc": 1.0}], [1, 1, {"acc": 0.0}]]
    group = by_name["openai-api/b/tiny-model", "group"]
    assert group["samples"][0] == ["easy/0", 1, {"exact_match[strict]": 0.0, "exact_match[loose]": 1.0}]
    assert group["stop"] == ["max_tokens"] * 4


def test_lm_eval_makes_its_table_and_finds_its_samples(run: Config) -> None:
    export(run, "lm-eval")
    program = """
import glob, json, sys
from datasets import load_dataset
from lm_eval.utils import get_file_task_name, get_latest_filename, get_results_filenames
from lm_eval.utils import get_sample_results_filenames, make_table
files = glob.glob(f"{sys.argv[1]}/a/*")
with open(get_latest_filename(get_results_filenames(files))) as stream:
    results = json.load(stream)
found = {}
for file in get_sample_results_filenames(files):
    rows = load_dataset("json", data_files=file, cache_dir=sys.argv[2])["train"]
    found[get_file_task_name(file.rpartition("/")[2])] = [[row["doc_id"], row["filter"]] for row in rows]
print(json.dumps([make_table(results), make_table(results, "groups"), found]))
"""
    folder = files_of(run, "lm-eval")
    table, groups, samples = _read("lm-eval", program, str(folder), str(folder.parent / "cache"))
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines()[2:]]
    assert ["sums", "N/A", "none", "0", "acc", "↑", "0.50", "±", "0.25"] in rows
    assert ["words", "N/A", "none", "0", "f1", "↑", "0.25", "±", "N/A"] in rows
    assert {row[0] for row in rows} == {"sums", "words", "group", "- easy", "- hard"}
    assert [line.split("|")[1].strip() for line in groups.splitlines()[2:]] == ["group"]
    assert samples["sums"] == [[number, "none"] for number in range(4)]
    assert samples["hard"] == [[0, "loose"], [1, "loose"], [0, "strict"], [1, "strict"]]
