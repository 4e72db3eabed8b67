"""The backend of this machine, as far as it can be seen without a server."""

import os
import socket
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
from builders import make_config, make_deployment
from snakeval.backends import backend_of
from snakeval.backends.local import LocalBackend
from snakeval.config.model import Config
from snakeval.errors import DeploymentError
from snakeval.run.paths import RunPaths, ServerPaths
from snakeval.run.server import Secrets, Server, ServerRecord, ServerState
from snakeval.system.processes import Mark, processes_of
from workspace import eventually


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return make_config(tmp_path / "results")


def _files(config: Config) -> ServerPaths:
    return RunPaths(config.folder).server("tiny")


def _register(config: Config, **changes: Any) -> None:
    """Write what a supervisor writes, here that of this very process."""
    record = ServerRecord(
        state=ServerState.READY,
        server_id="0123456789abcdef",
        definition="hash",
        generation=1,
        host="127.0.0.1",
        port=4321,
        supervisor_pid=os.getpid(),
        supervisor_start=psutil.Process().create_time(),
    )
    replace(record, **changes).write(_files(config).state)


def _record(files: ServerPaths) -> ServerRecord:
    record = ServerRecord.read(files.state)
    assert record is not None
    return record


def _secrets(files: ServerPaths) -> Secrets:
    secrets = Secrets.read(files.secrets)
    assert secrets is not None
    return secrets


def test_the_backend_of_a_run(config: Config) -> None:
    assert isinstance(backend_of(config), LocalBackend)


def test_state_is_that_of_the_record(config: Config) -> None:
    backend = LocalBackend(config)
    assert backend.state("tiny") == Server(ServerState.STOPPED)
    _register(config)
    assert backend.state("tiny") == Server(ServerState.READY, None, "0123456789abcdef", 1, "127.0.0.1", 4321, "hash")


@pytest.mark.parametrize(
    ("state", "expected", "reason"),
    [
        (ServerState.STARTING, ServerState.FAILED, "its supervisor is gone"),
        (ServerState.READY, ServerState.FAILED, "its supervisor is gone"),
        (ServerState.STOPPED, ServerState.STOPPED, "idle for 600 s"),
        (ServerState.FAILED, ServerState.FAILED, "idle for 600 s"),
    ],
)
def test_a_dead_supervisor_shows_even_when_its_id_is_taken(
    state: ServerState, expected: ServerState, reason: str, config: Config
) -> None:
    _register(config, state=state, reason="idle for 600 s", supervisor_start=1.0)
    server = LocalBackend(config).state("tiny")
    assert (server.state, server.reason) == (expected, reason)


def test_definition_changes_with_what_is_started_alone(config: Config) -> None:
    backend = LocalBackend(config)
    same = backend.definition(make_deployment())
    assert backend.definition(make_deployment()) == same
    assert backend.definition(make_deployment(command=["another"])) != same
    assert backend.definition(make_deployment(port=8001)) != same
    assert backend.definition(make_deployment(protocols=["chat"])) == same


def test_stop_ends_the_record_and_removes_the_secrets(config: Config) -> None:
    backend, files = LocalBackend(config), _files(config)
    backend.stop("tiny")
    # A record of this very process: it carries no server's id, so it is not touched.
    _register(config)
    Secrets({}, {}).write(files.secrets)
    for _ in range(2):
        backend.stop("tiny")
        record = _record(files)
        assert (record.state, record.reason, record.port) == ("STOPPED", "stopped", 4321)
        assert not files.secrets.exists()
    _register(config, state=ServerState.FAILED, reason="the server ended with status 1")
    backend.stop("tiny")
    assert _record(files).state is ServerState.FAILED


@pytest.mark.parametrize("linked", [False, True])
def test_a_record_that_names_the_server_of_another_run_ends_nothing(
    config: Config, tmp_path: Path, linked: bool
) -> None:
    """Whoever may read a folder of results knows the ids of its servers, and whose processes they are."""
    own = tmp_path / "mine" / "demo" / "tiny" / "server"
    own.mkdir(parents=True)
    mark = Mark.of(own, "0123456789abcdef")
    with subprocess.Popen(["sleep", "60"], env=os.environ | mark.variables) as process:
        eventually(lambda: [one.pid for one in processes_of(mark)] == [process.pid], 5, "its environment")
        if linked:
            _files(config).folder.parent.mkdir(parents=True)
            _files(config).folder.symlink_to(own)
        started = psutil.Process(process.pid).create_time()
        _register(config, server_id=mark.server_id, supervisor_pid=process.pid, supervisor_start=started)
        LocalBackend(config).stop("tiny")
        assert process.poll() is None
        process.kill()


def test_a_taken_port_is_named(config: Config) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(DeploymentError, match=f"port {port} of this machine, deployment.port of tiny, is taken by"):
            LocalBackend(config).start(make_deployment(port=port))
    assert not _files(config).folder.exists()


def test_start_hands_over_a_script_and_secrets(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[list[str], dict[str, Any]]] = []

    class Process:
        pid = os.getpid()

        def __init__(self, command: list[str], **options: Any) -> None:
            calls.append((command, options))

    monkeypatch.setattr(subprocess, "Popen", Process)
    for name in ("TOKEN", "SNAKEVAL_API_KEY", "SNAKEVAL_SESSION", "OMP_NUM_THREADS"):
        monkeypatch.setenv(name, f"outer {name}")
    deployment = make_deployment(env_vars={"A": "lit:x", "B": "host:TOKEN", "C": "runtime:LATER"})
    backend, files = LocalBackend(config), _files(config)
    backend.start(deployment)
    command, options = calls[0]
    assert command == ["bash", str(files.launch_script)]
    assert options["start_new_session"] is True
    secrets = _secrets(files)
    assert secrets == Secrets({"A": "x", "B": "outer TOKEN"}, {"C": "LATER"})
    assert files.secrets.stat().st_mode & 0o777 == 0o600
    assert files.launch_script.stat().st_mode & 0o777 == 0o755
    text = files.launch_script.read_text(encoding="utf-8")
    assert "outer TOKEN" not in text
    state = _record(files)
    assert (state.state, state.definition) == ("STARTING", backend.definition(deployment))
    environment = options["env"]
    assert {name for name in environment if name.startswith("SNAKEVAL_")} == {
        "SNAKEVAL_SERVER_ID",
        "SNAKEVAL_SERVER_FOLDER",
    }
    assert environment["SNAKEVAL_SERVER_ID"] == state.server_id
    assert "OMP_NUM_THREADS" not in environment
    assert backend.state("tiny").state is ServerState.STARTING
    backend.start(deployment)
    assert _record(files).server_id != state.server_id


def test_a_variable_that_is_not_set_is_told(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_SUCH", raising=False)
    with pytest.raises(Exception, match="NO_SUCH is not in the environment"):
        LocalBackend(config).start(make_deployment(env_vars={"A": "host:NO_SUCH"}))
    assert not _files(config).state.exists()


def test_the_end_of_the_log(config: Config) -> None:
    backend = LocalBackend(config)
    assert backend.log_tail("tiny") == "(no output)"
    _files(config).folder.mkdir(parents=True)
    _files(config).log.write_text("one\n", encoding="utf-8")
    assert backend.log_tail("tiny") == "one"


@pytest.mark.parametrize(
    "content",
    [b"", b'{"state": "READY"', b"\xff\xfe", b"[]", b"{}", b'{"state": "NEW", "server_id": "0123456789abcdef"}']
    + [
        b'{"state": "READY", "server_id": %s}' % one
        for one in (b"null", b'""', b'"1f"', b'"0123456789ABCDEF"', b'"0123456789abcdef\\n"', b'"../0123456789abc"')
    ],
)
def test_a_damaged_record_counts_as_none_and_is_told(
    content: bytes, config: Config, capsys: pytest.CaptureFixture[str]
) -> None:
    backend, files = LocalBackend(config), _files(config)
    files.folder.mkdir(parents=True)
    files.state.write_bytes(content)
    files.secrets.write_bytes(content)
    assert backend.state("tiny") == Server(ServerState.STOPPED)
    assert f"notice: {files.state} cannot be used and counts as missing: " in capsys.readouterr().err
    backend.stop("tiny")
    assert not files.secrets.exists()
    assert files.state.read_bytes() == content
