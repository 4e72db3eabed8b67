"""Exports with the real clients and readers: MLflow's tracking server, W&B offline, pyarrow, Inspect, lm-eval."""

import json
import os
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest
import requests
from builders import make_metric
from export_bench import export, files_of, finish, make_run
from snakeval.config.model import Config
from snakeval.environments import ENVS, ensure_environment
from snakeval.errors import ExportError
from snakeval.paths import RunPaths
from snakeval.ports import LOOPBACK, free_port
from workspace import eventually

KEY = "planted-secret"


@dataclass(frozen=True)
class TrackingServer:
    """MLflow's own server, on a database of its own."""

    url: str

    def ask(self, path: str, **body: Any) -> dict[str, Any]:
        """Return what the REST API answers."""
        reply = requests.post(f"{self.url}/api/2.0/mlflow/{path}", json=body, timeout=60)
        reply.raise_for_status()
        return dict(reply.json())

    def runs(self, experiment: str = "snakeval") -> list[dict[str, Any]]:
        """Return the runs of an experiment, flat: tags, params and metrics by name."""
        (found,) = [
            one["experiment_id"]
            for one in self.ask("experiments/search", max_results=100)["experiments"]
            if one["name"] == experiment
        ]
        runs = self.ask("runs/search", experiment_ids=[found], max_results=100).get("runs", [])
        flat = []
        for run in runs:
            parts = {name: run["data"].get(name, []) for name in ("tags", "params", "metrics")}
            named = {name: {one["key"]: one["value"] for one in part} for name, part in parts.items()}
            flat.append({**named, **run["info"]})
        return flat

    def artifacts(self, run_id: str) -> list[str]:
        """Return the names of a run's artifacts."""
        url = f"{self.url}/api/2.0/mlflow/artifacts/list"
        reply = requests.get(url, params={"run_id": run_id}, timeout=60)
        reply.raise_for_status()
        return sorted(file["path"] for file in reply.json().get("files", []))


@pytest.fixture(scope="module")
def tracking_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TrackingServer]:
    """A tracking server that answers."""
    python = ensure_environment(ENVS / "mlflow-server.lock")
    folder, port = tmp_path_factory.mktemp("mlflow"), free_port(LOOPBACK)
    command = [str(python), "-m", "mlflow", "server", "--host", LOOPBACK, "--port", str(port), "--workers", "1"]
    command += [
        "--backend-store-uri",
        f"sqlite:///{folder}/db.sqlite",
        "--artifacts-destination",
        f"{folder}/artifacts",
    ]
    server = TrackingServer(f"http://{LOOPBACK}:{port}")
    with (folder / "server.log").open("w", encoding="utf-8") as log:
        environ = {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true"}
        process = subprocess.Popen(command, cwd=folder, env=environ, stdout=log, stderr=log, start_new_session=True)
        try:
            eventually(lambda: _answers(process, server, folder / "server.log"), 120, "the tracking server")
            yield server
        finally:
            os.killpg(process.pid, 15)
            process.wait(timeout=60)


def _answers(process: "subprocess.Popen[bytes]", server: TrackingServer, log: Path) -> bool:
    assert process.poll() is None, log.read_text(encoding="utf-8")
    try:
        return requests.get(f"{server.url}/health", timeout=10).ok
    except requests.ConnectionError:
        return False


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


def test_mlflow_has_one_run_per_result_and_updates_it(run: Config, tracking_server: TrackingServer) -> None:
    settings = {"tracking_uri": tracking_server.url, "experiment_name": "updates", "tags": {"team": "t"}}
    first = export(run, "mlflow", **settings)
    assert [one["action"] for one in first["sent"]] == ["created"] * 5
    runs = {one["tags"]["mlflow.runName"]: one for one in tracking_server.runs("updates")}
    assert set(runs) == {"demo/a/sums", "demo/a/words", "demo/a/group", "demo/b/sums", "demo/b/group"}
    sums = runs["demo/a/sums"]
    assert sums["status"] == "FINISHED"
    assert sums["end_time"] - sums["start_time"] == 60_500
    assert (sums["metrics"]["sums/acc"], sums["metrics"]["sums/acc_stderr"]) == (0.5, 0.25)
    assert (sums["params"]["limit"], sums["params"]["served_model_name"]) == ("4", "org/model-a")
    assert (sums["tags"]["team"], sums["tags"]["snakeval.run"]) == ("t", "demo")
    assert tracking_server.artifacts(sums["run_id"]) == ["result.json", "samples.jsonl.gz"]

    # The same results again, one of them with another number and another description: nothing is doubled.
    finish(run, "a", "sums", [make_metric("acc", 0.75)], [])
    second = export(run, "mlflow", **settings, description="said later")
    assert [(one["id"], one["action"]) for one in second["sent"]] == [(one["id"], "updated") for one in first["sent"]]
    again = {one["tags"]["mlflow.runName"]: one for one in tracking_server.runs("updates")}
    assert len(again) == 5
    assert again["demo/a/sums"]["metrics"]["sums/acc"] == 0.75
    assert again["demo/a/sums"]["tags"]["mlflow.note.content"] == "said later"

    # Another fingerprint is another result, and has a run of its own.
    tasks = tuple(replace(task, fingerprint="other") if task.name == "words" else task for task in run.tasks)
    finish(replace(run, tasks=tasks), "a", "words", [make_metric("f1", 0.5)], [])
    third = export(run, "mlflow", **settings)
    assert sorted(one["action"] for one in third["sent"]) == ["created", *["updated"] * 4]
    assert len(tracking_server.runs("updates")) == 6


def test_two_runs_of_the_workflow_do_not_share_runs(run: Config, tracking_server: TrackingServer) -> None:
    settings = {"tracking_uri": tracking_server.url, "experiment_name": "two", "copy_artifacts": False}
    export(run, "mlflow", **settings)
    folder = run.execution.output_dir
    (folder / "demo").rename(folder / "later")
    export(replace(run, run="later"), "mlflow", **settings)
    runs = tracking_server.runs("two")
    assert sorted(one["tags"]["snakeval.run"] for one in runs) == ["demo"] * 5 + ["later"] * 5
    assert tracking_server.artifacts(runs[0]["run_id"]) == []


class _Refuses(BaseHTTPRequestHandler):
    """Remembers who asked, and answers that nobody may."""

    asked: ClassVar[list[str | None]] = []

    def do_GET(self) -> None:
        self.asked.append(self.headers.get("Authorization"))
        body = b'{"error_code": "PERMISSION_DENIED", "message": "no"}'
        self.send_response(403)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET

    def log_message(self, *arguments: object) -> None:
        """Say nothing."""


@pytest.fixture
def refusing() -> Iterator[str]:
    server = ThreadingHTTPServer((LOOPBACK, 0), _Refuses)
    _Refuses.asked.clear()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://{LOOPBACK}:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def test_the_token_reaches_the_server_and_no_file(
    run: Config, refusing: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("MY_TOKEN", KEY)
    with pytest.raises(ExportError, match="RestException: PERMISSION_DENIED: no"):
        export(run, "mlflow", tracking_uri=refusing, token_name="MY_TOKEN")
    assert set(_Refuses.asked) == {f"Bearer {KEY}"}
    _assert_nowhere(tmp_path, KEY)
    assert not RunPaths(run.execution.output_dir / run.run).export_record("mlflow").exists()


def test_a_password_in_the_variable_is_not_logged(
    run: Config, tracking_server: TrackingServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", tracking_server.url.replace("//", f"//me:{KEY}@"))
    record = export(run, "mlflow", experiment_name="password")
    assert record["sent"][0]["url"].startswith(f"{tracking_server.url}/#/experiments/")
    _assert_nowhere(tmp_path, KEY)


def test_a_tracking_server_that_is_not_there_is_told(run: Config) -> None:
    with pytest.raises(ExportError, match=r"MlflowException: .*refused"):
        export(run, "mlflow", tracking_uri=f"http://{LOOPBACK}:{free_port(LOOPBACK)}")


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
    _assert_nowhere(tmp_path, KEY)
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


def test_wandb_without_a_key_is_told(
    run: Config, refusing: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "no-netrc"))
    with pytest.raises(ExportError, match=r"UsageError: .*(API key|login)"):
        export(run, "wandb", mode="online", base_url=refusing)


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


def _assert_nowhere(folder: Path, secret: str) -> None:
    for file in folder.rglob("*"):
        if file.is_file():
            assert secret.encode() not in file.read_bytes(), file
