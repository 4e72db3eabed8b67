"""A neighbour on the machine takes the port of a server that has crashed: it gets no request, and no answer counts."""

import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests
from gateway_bench import make_settings, running_gateway
from snakeval.gateway.settings import Settings
from snakeval.run.paths import ServerPaths
from snakeval.run.server import Access, Secrets, ServerRecord, present_access
from snakeval.system.processes import Mark, processes_of
from workspace import REPOSITORY, eventually

PROGRAM = REPOSITORY / "tests" / "fakes" / "keyed_server.py"
UID = 54_321
# From the first of them the second is an address of another machine: our own end has another one.
HERE, ELSEWHERE = "127.0.0.1", "127.0.0.2"


class Server:
    """A server under its supervisor."""

    def __init__(self, folder: Path, host: str) -> None:
        self.files = ServerPaths(folder / "tiny" / "server")
        Secrets({}, {}).write(self.files.secrets)
        self.mark = Mark.of(self.files.folder, "0123456789abcdef")
        command = [sys.executable, str(REPOSITORY / "scripts" / "programs" / "supervise.py")]
        command += ["--folder", str(self.files.folder), "--server-id", self.mark.server_id, "--host", host]
        command += ["--advertise", host, "--health-path", "/health", "--idle-timeout-s", "600", "--max-restarts", "1"]
        serve = f'exec {shlex.quote(sys.executable)} {shlex.quote(str(PROGRAM))} "$SNAKEVAL_HOST" "$SNAKEVAL_PORT" ours'
        self.supervisor = subprocess.Popen(
            [*command, "--", "bash", "-c", serve], env=os.environ | self.mark.variables, stdout=subprocess.DEVNULL
        )

    def access(self, generation: int) -> Access:
        """Wait until a process of it answers."""

        def found() -> Access | None:
            access = present_access(self.files, {})
            return access if access is not None and access.generation == generation else None

        access = eventually(found, 60, f"process {generation} of the server")
        assert isinstance(access, Access)
        return access

    def kill(self) -> None:
        """Kill its process, while the supervisor sees nothing: the neighbour gets all the time of the world."""
        self.supervisor.send_signal(signal.SIGSTOP)
        record = ServerRecord.read(self.files.state)
        assert record is not None
        assert record.pid is not None
        os.kill(record.pid, signal.SIGKILL)


@pytest.fixture(params=[HERE, ELSEWHERE])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Server]:
    one = Server(tmp_path / "run", request.param)
    yield one
    one.supervisor.send_signal(signal.SIGCONT)
    one.supervisor.terminate()
    one.supervisor.wait(30)
    assert processes_of(one.mark) == []


def _neighbour(host: str, port: str) -> "subprocess.Popen[str]":
    """Start a server of another user there; of our own user, but without our mark, where only root may do so."""
    # The other user may not even read our Python: whatever is needed is loaded before.
    as_other = f"import encodings.idna, http.server, json, os; os.setgroups([]); os.setgid({UID}); os.setuid({UID})\n"
    program = (as_other if os.geteuid() == 0 else "") + PROGRAM.read_text(encoding="utf-8")
    command = [sys.executable, "-IS", "-c", program, host, port, "forged"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={}, cwd="/")


def _settings(folder: Path, server: Server, access: Access, **more: Any) -> Settings:
    base_url, files = f"{access.address}/v1", server.files.folder
    return make_settings(folder, base_url, server=files, **more)


def test_a_neighbour_gets_neither_key_nor_request_and_no_answer_of_it_counts(server: Server, tmp_path: Path) -> None:
    first = server.access(1)
    host, _, port = first.address.removeprefix("http://").partition(":")
    settings = _settings(tmp_path, server, first)
    with running_gateway(settings, first.key or "") as gateway, ThreadPoolExecutor() as pool:
        assert gateway.chat("one").json()["choices"][0]["message"]["content"] == "ours"
        server.kill()
        with _neighbour(host, port) as neighbour:
            try:
                eventually(lambda: _answers(first.address), 30, "the neighbour")
                asked = pool.submit(gateway.chat, "two")
                # One connection is ours, from above; the other one is the gateway's.
                assert neighbour.stdout is not None
                assert [neighbour.stdout.readline() for _ in range(2)] == ["connected\n"] * 2
                server.supervisor.send_signal(signal.SIGCONT)
                second = server.access(2)
                answer = asked.result(60)
                assert answer.status_code == 502, answer.text
                assert second.address != first.address
                # A key that a neighbour has caught otherwise, from the command line of a client for example.
                for address, key, status in ((first, first, 200), (second, first, 401), (second, second, 200)):
                    assert _ask(address.address, key.key) == status
            finally:
                neighbour.kill()
            words = neighbour.stdout.read().splitlines()
            assert [word for word in words if word.startswith("asked")] == [f"asked with {first.key}"]
        told = gateway.end()
        assert told.kinds == {"answered": 1, "unreachable": 1}
    with running_gateway(_settings(tmp_path, server, second, life="second"), second.key or "") as gateway:
        assert gateway.chat("two").json()["choices"][0]["message"]["content"] == "ours"
    for file in tmp_path.rglob("*.json*"):
        assert "forged" not in file.read_text(encoding="utf-8"), file


def _answers(address: str) -> bool:
    try:
        return requests.get(f"{address}/health", timeout=5).ok
    except requests.ConnectionError:
        return False


def _ask(address: str, key: str | None) -> int:
    headers = {"Authorization": f"Bearer {key}"}
    return requests.post(f"{address}/v1/chat/completions", json={}, headers=headers, timeout=30).status_code
