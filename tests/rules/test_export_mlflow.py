"""Exports to MLflow's own tracking server: what arrives, what is updated, and what happens to secrets."""

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
from export_bench import assert_nowhere, export, finish, make_run
from snakeval.config.model import Config
from snakeval.errors import ExportError
from snakeval.run.paths import RunPaths
from snakeval.system.checkout import ENVS
from snakeval.system.environments import ensure_environment
from snakeval.system.ports import LOOPBACK, free_port
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
    assert_nowhere(tmp_path, KEY)
    assert not RunPaths(run.folder).export_record("mlflow").exists()


def test_a_password_in_the_variable_is_not_logged(
    run: Config, tracking_server: TrackingServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", tracking_server.url.replace("//", f"//me:{KEY}@"))
    record = export(run, "mlflow", experiment_name="password")
    assert record["sent"][0]["url"].startswith(f"{tracking_server.url}/#/experiments/")
    assert_nowhere(tmp_path, KEY)


def test_a_tracking_server_that_is_not_there_is_told(run: Config) -> None:
    with pytest.raises(ExportError, match=r"MlflowException: .*refused"):
        export(run, "mlflow", tracking_uri=f"http://{LOOPBACK}:{free_port(LOOPBACK)}")
