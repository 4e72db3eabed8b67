"""Servers in real containers of podman: found, told from strangers, and gone with whatever is killed."""

import os
import shutil
import signal
import socket
import threading
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import psutil
import pytest
from builders import make_config, make_deployment, make_execution
from containers import FAKES, IMAGE, MOUNTS, PYTHON, Podman
from snakeval.backends.local import LocalBackend
from snakeval.config.model import Config, Deployment
from snakeval.endpoint import Protocol
from snakeval.errors import DeploymentError
from snakeval.gateway.owner import STRANGER, Owner
from snakeval.run.paths import RunPaths
from snakeval.serving.servers import ensure_server
from snakeval.system.files import read_json
from snakeval.system.podman import container_name
from snakeval.system.processes import Mark, family_of, processes_of
from workspace import command_of, eventually, has_ended, name_of

SERVE = f'exec {PYTHON} {FAKES}/tiny_server.py "$SNAKEVAL_PORT"'
# By the name that it was called, as the kernel shows it; that of the supervisor is another.
PYTHON_NAME = Path(PYTHON).name
SECRET = "planted-secret-4711"


class Server:
    """One deployment in a container, driven as rule ready drives it."""

    def __init__(self, folder: Path, mounts: dict[str, str], restarts: int, **keys: Any) -> None:
        options: dict[str, Any] = {"container_runtime": "podman", "container_args": []}
        options["mounts"] = {"deployment": {**MOUNTS, **mounts}, "mount_home": False}
        execution = make_execution(folder, max_restarts=restarts, **options)
        plain = {"command": SERVE, "runtime": "container", "image": IMAGE, **keys}
        self.deployment: Deployment = make_deployment(**plain)
        base = make_config(folder, [self.deployment])
        self.config = Config(**{**vars(base), "execution": execution})
        self.backend = LocalBackend(self.config)
        self.files = RunPaths(folder / "demo").server("tiny")

    @property
    def record(self) -> dict[str, Any]:
        """What the supervisor has registered."""
        return read_json(self.files.state) or {}

    @property
    def mark(self) -> Mark:
        """What its processes have in their environment."""
        return Mark.of(self.files.folder, self.record["server_id"])

    def start(self) -> dict[str, Any]:
        """Start it and wait until it is ready."""
        self.backend.start(self.deployment)
        return self.wait_for("READY", 1)

    def wait_for(self, state: str, generation: int) -> dict[str, Any]:
        """Wait for what the supervisor registers."""
        found = lambda: (self.record.get("state"), self.record.get("generation")) == (state, generation)  # noqa: E731
        eventually(found, 30, f"{state} {generation}; {self.record}; {self.backend.log_tail('tiny')}")
        return self.record

    def process(self, name: str) -> psutil.Process | None:
        """Return the process below the supervisor with this name; of several the newest."""
        below = family_of(self.record["supervisor_pid"])[1:]
        found = [one for one in below if name_of(one) == name and not has_ended(one)]
        return max(found, key=lambda one: one.create_time(), default=None)

    def kill(self, name: str) -> None:
        """Kill the process with this name."""
        process = self.process(name)
        assert process is not None, name
        process.kill()


@pytest.fixture
def server(podman: Podman, tmp_path: Path) -> Iterator[Any]:
    servers: list[Server] = []

    def make(mounts: dict[str, str] | None = None, restarts: int = 0, **keys: Any) -> Server:
        servers.append(Server(tmp_path / "results", mounts or {}, restarts, **keys))
        return servers[-1]

    yield make
    for one in servers:
        one.backend.stop("tiny")


def _is_gone(podman: Podman, one: Any) -> bool:
    return not podman.containers() and not processes_of(one.mark)


def test_a_server_in_a_container_answers_and_is_ended(server: Any, podman: Podman) -> None:
    one = server()
    record = one.start()
    with urllib.request.urlopen(f"http://{record['host']}:{record['port']}/health", timeout=10) as response:
        assert response.status == 200
    assert record["host"] == "127.0.0.1"
    assert record["image"] == "sha256:" + podman("image", "inspect", "--format={{.Id}}", IMAGE).strip()
    (container,) = podman.containers()
    assert container["Labels"] == {"snakeval.run": "demo", "snakeval.deployment": "tiny"}
    assert container["Names"] == [container_name(one.mark)]
    one.backend.stop("tiny")
    assert _is_gone(podman, one)
    assert one.record["state"] == "STOPPED"
    one.backend.stop("tiny")


@pytest.mark.parametrize("who", ["supervisor by TERM", "supervisor by KILL", "supervisor, client and monitor by KILL"])
def test_a_container_does_not_outlive_its_supervisor(server: Any, podman: Podman, who: str) -> None:
    """A client that is killed while it tidies up leaves podman a record, which the next stop removes."""
    one = server()
    record = one.start()
    inside = one.process(PYTHON_NAME)
    assert inside is not None
    number = signal.SIGTERM if who.endswith("TERM") else signal.SIGKILL
    if "monitor" in who:
        one.kill("conmon")
        one.kill("podman")
    os.kill(record["supervisor_pid"], number)
    eventually(lambda: has_ended(inside), 30, "the server's end")
    eventually(lambda: not processes_of(one.mark), 90, "the end of all")
    if number == signal.SIGKILL:
        one.backend.stop("tiny")
    eventually(lambda: _is_gone(podman, one), 30, "the container's end")


@pytest.mark.parametrize("who", ["client", "server"])
def test_what_dies_in_between_is_a_crash_of_the_server(server: Any, podman: Podman, who: str) -> None:
    one = server(restarts=1)
    record = one.start()
    name = PYTHON_NAME if who == "server" else "podman"
    one.kill(name)
    again = one.wait_for("READY", 2)
    assert again["server_id"] == record["server_id"]
    assert len(podman.containers()) == 1
    one.kill(name)
    assert "the server" in one.wait_for("FAILED", 2)["reason"]
    eventually(lambda: _is_gone(podman, one), 30, "the container's end")


def test_a_connection_to_a_server_in_a_container_is_proven(server: Any, tmp_path: Path) -> None:
    one = server()
    record = one.start()
    with socket.create_connection((record["host"], record["port"])) as connection:
        ends = connection.getpeername(), connection.getsockname()
        assert Owner(one.mark).stranger(*ends) is None
        assert Owner(Mark(one.mark.server_id, tmp_path)).stranger(*ends) == STRANGER


def test_detached_children_end_with_the_container(server: Any, podman: Podman) -> None:
    one = server(command=f"{SERVE} detach")
    one.start()
    eventually(lambda: sum(name_of(p) == PYTHON_NAME for p in processes_of(one.mark)) >= 2, 10, "the child")
    one.backend.stop("tiny")
    assert _is_gone(podman, one)


def test_a_stranger_on_the_port_is_not_ours(server: Any) -> None:
    """The container never listens; who answers the health path there is somebody else, in a container's network too."""

    class Stranger(BaseHTTPRequestHandler):
        asked = 0

        def do_GET(self) -> None:
            Stranger.asked += 1
            self.send_response(200)
            self.end_headers()

    one = server(command="sleep 600", port=_free_port())
    one.backend.start(one.deployment)
    one.wait_for("STARTING", 1)
    with HTTPServer(("127.0.0.1", one.deployment.port), Stranger) as stranger:
        threading.Thread(target=stranger.serve_forever, daemon=True).start()
        eventually(lambda: one.process("sleep"), 30, "the container")
        supervisor = psutil.Process(one.record["supervisor_pid"])
        before = supervisor.cpu_times()
        eventually(lambda: supervisor.cpu_times() != before, 30, "a look at the port")
        assert one.record["state"] == "STARTING"
        assert Stranger.asked == 0
        stranger.shutdown()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_what_the_container_sees(server: Any, podman: Podman, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its own variables and no others, secrets by name alone, mounts as they were asked for, no home folder."""
    monkeypatch.setenv("TOKEN_OF_MINE", SECRET)
    monkeypatch.setenv("SOMETHING_ELSE", "outside")
    monkeypatch.setenv("https_proxy", "http://proxy.invalid:1")
    (tmp_path / "seen").mkdir()
    (tmp_path / "a b").mkdir()
    look = 'env -0 >/seen/env; echo x >"/in a/x"; ls -a "$HOME" >/seen/home; id -u >/seen/id; ' + SERVE
    mounts = {str(tmp_path / "seen"): "/seen", str(tmp_path / "a b"): "/in a:ro"}
    variables = {"HF_TOKEN": "host:TOKEN_OF_MINE", "LINES": "lit:one\ntwo 'three' $(four)"}
    one = server(mounts, command=look, env_vars=variables)
    one.start()
    lines = (tmp_path / "seen" / "env").read_text().split("\0")[:-1]
    inside = dict(line.split("=", 1) for line in lines)
    key = (read_json(one.files.secrets) or {})["environment"]["SNAKEVAL_API_KEY"]
    assert (inside["HF_TOKEN"], inside["LINES"]) == (SECRET, "one\ntwo 'three' $(four)")
    assert (inside["SNAKEVAL_API_KEY"], inside["https_proxy"]) == (key, "http://proxy.invalid:1")
    assert not {"SOMETHING_ELSE", "CONTAINERS_CONF", "SNAKEVAL_SUPERVISED"} & set(inside)
    assert list((tmp_path / "a b").iterdir()) == []
    for process in psutil.process_iter():
        words = " ".join(command_of(process))
        assert SECRET not in words
        assert key not in words
    for file in (one.files.launch_script, one.files.log, one.files.state):
        assert SECRET not in file.read_text()
        assert key not in file.read_text()


def test_links_of_a_checkpoint_lead_somewhere_inside(server: Any, tmp_path: Path) -> None:
    """As in the cache of the Hugging Face hub: a folder of links to files beside it."""
    (tmp_path / "seen").mkdir()
    snapshot, blobs = tmp_path / "hub" / "snapshots" / "1", tmp_path / "hub" / "blobs"
    snapshot.mkdir(parents=True)
    blobs.mkdir()
    (blobs / "ab12").write_text("weights")
    (snapshot / "model.bin").symlink_to("../../blobs/ab12")
    look = f"cat {snapshot}/model.bin >/seen/model; touch {snapshot}/x 2>/dev/null; {SERVE}"
    server({str(tmp_path / "seen"): "/seen"}, command=look, checkpoint_path=str(snapshot)).start()
    assert (tmp_path / "seen" / "model").read_text() == "weights"
    assert [one.name for one in snapshot.iterdir()] == ["model.bin"]


@pytest.mark.parametrize(
    ("keys", "words", "hint"),
    [
        ({"image": "localhost/snakeval-missing:1"}, "localhost/snakeval-missing", None),
        ({"image": "nvcr.io/nim/meta/llama:1.8.4"}, "pinging container registry nvcr.io", "NGC API key"),
        ({"command": "echo the last words; exit 7"}, "the last words", None),
        ({"image": "localhost/snakeval-empty:1"}, "/bin/sh", "the image has to have /bin/sh"),
    ],
)
def test_what_cannot_start_says_why(
    server: Any, podman: Podman, tmp_path: Path, keys: dict[str, str], words: str, hint: str | None
) -> None:
    (tmp_path / "nothing").write_text("")
    podman.build("localhost/snakeval-empty:1", {"nothing": tmp_path / "nothing"}, bare=True)
    one = server(**keys)
    with pytest.raises(DeploymentError) as raised:
        ensure_server(one.config, one.deployment, Protocol.CHAT, 1, lambda _: None)
    message = str(raised.value)
    assert words in message
    assert hint is None or hint in message
    assert "did not start: the server ended with status" in message


def test_podman_itself_may_be_missing(server: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Found before anything is started on this machine; elsewhere by the shell, with what to do."""
    (tmp_path / "bin").mkdir()
    for program in ("bash", "env"):
        (tmp_path / "bin" / program).symlink_to(shutil.which(program) or "")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    one = server()
    with pytest.raises(DeploymentError, match=r"podman(.|\n)*hint: podman has to be on PATH"):
        ensure_server(one.config, one.deployment, Protocol.CHAT, 1, lambda _: None)
