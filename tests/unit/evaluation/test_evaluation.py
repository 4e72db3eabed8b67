"""A task's run: its harness is watched, ended with us, and leaves a result only when it has succeeded."""

import contextlib
import gzip
import json
import os
import signal
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
from builders import make_config, make_deployment, make_task
from fake_backend import FakeBackend
from snakeval.backends.base import Backend
from snakeval.config.model import Config, Deployment, Task
from snakeval.config.reading.tree import Node
from snakeval.deployments.endpoint import existing_endpoint
from snakeval.errors import EndpointError, HarnessError
from snakeval.evaluation import evaluate as evaluation
from snakeval.evaluation import harness_process, watch
from snakeval.evaluation.comeback import ServerComesBack
from snakeval.evaluation.evaluate import evaluate
from snakeval.evaluation.harness_process import ProgressReport
from snakeval.evaluation.watch import Watch
from snakeval.results.result import read_result
from snakeval.run.attempt import Progress
from snakeval.run.harness_paths import HarnessPaths
from snakeval.run.heartbeat import Owner, SessionWatch
from snakeval.run.paths import RunPaths, TaskPaths
from snakeval.run.server import Server, ServerState
from snakeval.serving import servers as serving
from snakeval.system.files import write_text
from workspace import eventually

THERE = make_deployment("there", type="none")
READY = Server(ServerState.READY, None, "first", 1)
RESULT = {"metrics": [{"name": "accuracy", "value": 0.5, "n": 2}], "samples": {"asked": 2, "answered": 2}}
SUCCEED = f"""import json, os, pathlib
out = pathlib.Path(os.environ["SNAKEVAL_OUTPUT_DIR"])
out.joinpath("result.json").write_text(json.dumps({RESULT!r}))
out.joinpath("samples.jsonl").write_text('{{"answer": 1}}\\n{{"answer": 2}}\\n')
print("from the harness", flush=True)
"""


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every endpoint answers well, and nothing is waited for long."""
    monkeypatch.setattr(serving, "check_endpoint", lambda *_, **__: None)
    monkeypatch.setattr(harness_process, "POLL_S", 0.01)
    monkeypatch.setattr(watch, "LIVENESS_S", 0.0)


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return make_config(tmp_path / "results", [THERE])


def _program(source: str, **env_vars: str) -> Task:
    """Return a task whose harness is a Python program."""
    unset: dict[str, Any] = dict.fromkeys(
        ("seed", "temperature", "top_p", "max_new_tokens", "parallelism", "request_timeout_s", "system_prompt")
    )
    return make_task(env_vars=env_vars, command=[sys.executable, "-IS", "-c", source], **unset)


def _files(config: Config, deployment: Deployment = THERE) -> TaskPaths:
    return RunPaths(config.folder).task(deployment.name, "sums")


def _evaluate(config: Config, task: Task, deployment: Deployment = THERE) -> str:
    """Evaluate; return what is in the log afterwards."""
    log = _files(config, deployment).log
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w", encoding="utf-8") as stream:
        evaluate(config, deployment, task, 1, stream, lambda _: None)
    return log.read_text(encoding="utf-8")


def test_a_task_that_succeeds(config: Config) -> None:
    assert _evaluate(config, _program(SUCCEED)) == "from the harness\n"
    files = _files(config)
    result = read_result(files.result)
    assert result is not None
    assert (result.metrics[0].value, result.samples.asked) == (0.5, 2)
    assert "command" not in result.settings
    lines = gzip.decompress(files.samples.read_bytes()).splitlines()
    assert [json.loads(line) for line in lines] == [{"answer": 1}, {"answer": 2}]
    assert not (files.harness / "fingerprint").exists()
    assert list(RunPaths(config.folder).server("there").claims.iterdir()) == []


@pytest.mark.parametrize("source", ["import sys; sys.exit(3)", "pass"])
def test_a_task_that_fails_leaves_no_result(source: str, config: Config) -> None:
    with pytest.raises(HarnessError):
        _evaluate(config, _program(source))
    files = _files(config)
    assert not files.result.exists()
    assert not files.samples.exists()
    assert (files.harness / "fingerprint").exists()


def _between(task: Task, **commands: str) -> Task:
    return replace(task, settings=Node({**task.settings, **commands}))


def test_commands_of_the_configuration_around_the_harness(config: Config, tmp_path: Path) -> None:
    """What pre_cmd exports reaches the harness, post_cmd is told its status, and words stay as they are."""
    program = _program(SUCCEED + "print(os.environ['WORD'])")
    task = _between(
        program, pre_cmd='export WORD="it\'s $((1 + 1))"\necho first', post_cmd='echo "last $SNAKEVAL_TASK_STATUS"'
    )
    assert _evaluate(config, task) == "first\nfrom the harness\nit's 2\nlast 0\n"
    result = read_result(_files(config).result)
    assert result is not None
    assert not result.settings.keys() & {"pre_cmd", "post_cmd"}


@pytest.mark.parametrize(
    ("source", "commands", "message"),
    [
        (SUCCEED, {"pre_cmd": "echo before; false; echo after"}, "pre_cmd of the task ended with exit status 1"),
        (SUCCEED, {"pre_cmd": "exit 0"}, "pre_cmd of the task ended with exit status 0"),
        (SUCCEED, {"post_cmd": "exit 4"}, "post_cmd of the task ended with exit status 4"),
        ("raise SystemExit(3)", {"pre_cmd": "true", "post_cmd": "echo last"}, "the command ended with exit status 3"),
    ],
)
def test_a_command_around_the_harness_that_fails_is_a_failed_task(
    source: str, commands: dict[str, str], message: str, config: Config
) -> None:
    with pytest.raises(HarnessError, match=message):
        _evaluate(config, _between(_program(source), **commands))
    files = _files(config)
    assert not files.result.exists()
    log = files.log.read_text(encoding="utf-8")
    assert "after" not in log
    assert ("last" in log) == ("echo last" in commands.get("post_cmd", ""))


def test_a_killed_harness_is_followed_by_its_command(config: Config) -> None:
    task = _between(_program("import os; os.kill(os.getpid(), 9)"), post_cmd='echo "last $SNAKEVAL_TASK_STATUS"')
    with pytest.raises(HarnessError, match="SIGKILL"):
        _evaluate(config, task)
    assert "last 137" in _files(config).log.read_text(encoding="utf-8")


def test_environment_of_the_harness(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OUTER", "of this machine")
    task = _program(SUCCEED + "print(os.environ['A'], os.environ['B'])", A="lit:literal", B="host:OUTER")
    assert _evaluate(config, task).endswith("literal of this machine\n")


def test_the_files_of_the_same_evaluation_alone_are_resumed(config: Config) -> None:
    files = HarnessPaths(_files(config).harness)
    answers = files.folder / "answers.db"
    evaluation._prepare(files, THERE, make_task())
    write_text(answers, "half")
    evaluation._prepare(files, THERE, make_task())
    assert answers.exists()
    evaluation._prepare(files, replace(THERE, fingerprint="another"), make_task())
    assert not answers.exists()
    write_text(answers, "half")
    evaluation._prepare(files, replace(THERE, fingerprint="another"), replace(make_task(), fingerprint="another"))
    assert not answers.exists()


@pytest.mark.parametrize("source", ["import time; time.sleep(60)", "import sys; sys.exit(3)"])
def test_a_server_that_dies_for_good_is_the_reason(
    source: str, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    dead = Server(ServerState.FAILED, "the server was killed by SIGKILL", "first", 1)
    backend = FakeBackend({"tiny": dead})
    monkeypatch.setattr(evaluation, "backend_of", lambda _: backend)
    endpoint = existing_endpoint(THERE)
    monkeypatch.setattr(evaluation, "reach_deployment", lambda *_: (READY, endpoint))
    before = set(psutil.Process().children())
    hopeless = replace(config, execution=replace(config.execution, max_restarts=0))
    with pytest.raises(EndpointError) as raised:
        _evaluate(hopeless, _program(source), make_deployment())
    assert str(raised.value) == (
        f"the server of tiny died while the task ran ({dead.reason}); the end of its log:\nthe end of the log"
    )
    assert set(psutil.Process().children()) <= before


def _watch(tmp_path: Path, backend: Backend | None = None, server: Server | None = None) -> Watch:
    session = SessionWatch(tmp_path / "session.json")
    return Watch(backend or FakeBackend(), RunPaths(tmp_path), {"tiny": server}, session, snakemake=None)


def test_without_snakemake_there_is_no_use_in_going_on(tmp_path: Path) -> None:
    watch = replace(_watch(tmp_path), snakemake=(os.getpid(), 0.0))
    with pytest.raises(EndpointError, match="Snakemake is gone"):
        watch.check()
    replace(watch, snakemake=(os.getpid(), psutil.Process().create_time())).check()
    replace(watch, snakemake=None).check()


def test_a_job_whose_run_has_a_new_owner_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Owner("newer").write(tmp_path / "session.json")
    monkeypatch.setenv("SNAKEVAL_SESSION", "mine")
    with pytest.raises(EndpointError, match="no longer works on the run"):
        _watch(tmp_path).check()


@pytest.mark.parametrize(
    ("now", "raised"),
    [
        (Server(ServerState.READY, server_id="one", generation=1), None),
        (Server(ServerState.DRAINING, server_id="one", generation=1), None),
        (Server(ServerState.FAILED, "killed", server_id="one", generation=1), EndpointError),
        (Server(ServerState.READY, server_id="one", generation=2), EndpointError),
        (Server(ServerState.READY, server_id="two", generation=1), EndpointError),
        (Server(ServerState.PENDING, "BeginTime", server_id="one", generation=1), ServerComesBack),
        (Server(ServerState.READY, server_id="one", generation=2, incarnation=1), ServerComesBack),
        (Server(ServerState.PENDING, server_id="two", generation=0), EndpointError),
    ],
)
def test_a_server_in_the_queue_again_is_waited_for_and_a_dead_one_is_not(
    tmp_path: Path, now: Server, raised: type[Exception] | None
) -> None:
    backend = FakeBackend()
    backend.servers["tiny"] = now
    watch = _watch(tmp_path, backend, Server(ServerState.READY, server_id="one", generation=1))
    if raised is None:
        watch.check_servers()
    else:
        with pytest.raises(raised):
            watch.check_servers()


def test_a_signal_ends_the_harness_and_its_children(config: Config, tmp_path: Path) -> None:
    # The signal comes from the harness itself, when it and its child are up.
    source = f"""import os, pathlib, signal, subprocess, time
child = subprocess.Popen(["sleep", "60"])
pathlib.Path({str(tmp_path / "pids")!r}).write_text(f"{{os.getpid()}} {{child.pid}}")
os.kill(os.getppid(), signal.SIGTERM)
time.sleep(60)
"""
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as ended:
        _evaluate(config, _program(source))
    assert ended.value.code == 128 + signal.SIGTERM
    assert signal.getsignal(signal.SIGTERM) is before
    pids = [int(word) for word in (tmp_path / "pids").read_text(encoding="utf-8").split()]
    assert len(pids) == 2
    eventually(lambda: not any(map(_lives, pids)), 5, "the end of the harness")


def _lives(pid: int) -> bool:
    with contextlib.suppress(psutil.Error):
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    return False


def test_progress_is_told_at_every_tenth(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(float(second) for second in range(100))
    monkeypatch.setattr("snakeval.evaluation.harness_process.time.monotonic", lambda: next(clock))
    said: list[str] = []
    report = ProgressReport(said.append)
    for progress in (None, Progress(0, 0), *(Progress(done, 20) for done in (0, 1, 2, 3, 4, 20))):
        report.update(progress)
    assert said == [
        "2/20 samples, 1.0/s, 18 s left",
        "4/20 samples, 1.0/s, 16 s left",
        "20/20 samples, 4.0/s, 0 s left",
    ]
