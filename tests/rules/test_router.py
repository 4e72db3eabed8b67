"""The real router, alone and in front of instances whose steps run on this machine without a Slurm."""

import itertools
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import pytest
import requests
from fakes.openai_server import FakeOpenAIServer
from snakeval.deployments.instances import ROUTER_LOCK
from snakeval.deployments.supervisor.router import Router, RouterSettings
from snakeval.run.paths import ServerPaths
from snakeval.system.environments import ensure_environment
from snakeval.system.files import read_json
from snakeval.system.ports import LOOPBACK, free_port
from snakeval.system.processes import Mark, processes_of
from workspace import REPOSITORY, command_of, eventually

KEY = "planted-key"
PROGRAM = REPOSITORY / "scripts" / "snakeval" / "deployments" / "programs" / "router.py"
FAKE = REPOSITORY / "tests" / "fakes" / "openai_server.py"
# What vLLM's router writes into requests beside what the client sent, all of it what engines take without.
ADDED = {
    "continue_final_message": False,
    "echo": False,
    "ignore_eos": False,
    "include_reasoning": True,
    "logprobs": False,
    "no_stop_trim": False,
    "return_hidden_states": False,
    "separate_reasoning": True,
    "skip_special_tokens": True,
    "stream": False,
    "stream_reasoning": True,
}
COMMON = {"model": "fake-model", "temperature": 0.7, "top_p": 0.95, "seed": 1234, "stop": ["\n\n"], "max_tokens": 8}
REQUESTS: dict[str, list[dict[str, Any]]] = {
    "completions": [
        {"prompt": "one [[answer:two]]", "add_special_tokens": False, "unheard_of": {"deep": [1, None]}},
        {"prompt": [[3, 1, 4], [1, 5]], "max_tokens": 1, "logprobs": 1, "echo": True},
    ],
    "chat/completions": [
        {
            "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "one [[answer:two]]"}],
            "chat_template_kwargs": {"enable_thinking": False},
            "reasoning_effort": "low",
            "unheard_of": 1,
        },
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "one"}]}], "max_completion_tokens": 7},
    ],
}


@pytest.fixture(scope="module")
def router_python() -> Path:
    """Interpreter of the router environment, built when it is missing."""
    return ensure_environment(ROUTER_LOCK)


@pytest.fixture
def router(router_python: Path, tmp_path: Path) -> Iterator[Router]:
    """A router that is not started yet."""
    own = Router(
        RouterSettings(
            python=router_python,
            program=PROGRAM,
            host=LOOPBACK,
            port=free_port(LOOPBACK),
            health_path="/health",
            log=tmp_path / "router.log",
            key=KEY,
        )
    )
    yield own
    own.end()


def _post(router: Router, path: str, payload: dict[str, Any], key: str | None = KEY) -> requests.Response:
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    return requests.post(f"{router.url}{path}", json=payload, headers=headers, timeout=60)


def _begin(router: Router, *servers: FakeOpenAIServer) -> list[str]:
    urls = [server.base_url.removesuffix("/v1") for server in servers]
    router.start(urls)
    eventually(lambda: router.instances() == set(urls), 30, "the router")
    return urls


def test_requests_and_answers_pass_as_they_are(router: Router) -> None:
    """A router that dropped a key or rounded a number would change scores."""
    with FakeOpenAIServer(api_key=KEY) as server:
        server.token_ids("six tokens for the requests below")
        _begin(router, server)
        for path, payloads in REQUESTS.items():
            for own in payloads:
                sent = COMMON | own
                answer = _post(router, f"/v1/{path}", sent)
                direct = requests.post(
                    f"{server.base_url}/{path}", json=sent, headers={"Authorization": f"Bearer {KEY}"}, timeout=60
                )
                assert answer.status_code == direct.status_code == 200, answer.text
                assert answer.json()["choices"] == direct.json()["choices"]
                routed, plain = server.payloads[-2:]
                assert plain == sent
                assert {name: routed[name] for name in sent} == sent
                assert {name: ADDED.get(name, "?") for name in routed if name not in sent} == {
                    name: value for name, value in routed.items() if name not in sent
                }


def test_only_the_key_opens_the_router(router: Router) -> None:
    with FakeOpenAIServer() as server:
        (url,) = _begin(router, server)
        for key in (None, "guessed"):
            assert _post(router, "/v1/completions", COMMON | {"prompt": "x"}, key).status_code == 401
            assert _post(router, "/add_worker?url=http%3A%2F%2F127.0.0.1%3A9", {}, key).status_code == 401
            assert _post(router, f"/remove_worker?url={url}", {}, key).status_code == 401
        assert server.payloads == []
        assert router.instances() == {url}


def test_a_dead_instance_costs_no_request_and_comes_back(router: Router, tmp_path: Path) -> None:
    with FakeOpenAIServer(api_key=KEY) as living:
        with FakeOpenAIServer(api_key=KEY) as dying:
            _, url = _begin(router, living, dying)
        with ThreadPoolExecutor(8) as pool:
            asked = [pool.submit(_post, router, "/v1/completions", COMMON | {"prompt": f"x {n}"}) for n in range(8)]
            # Requests go to it in vain for as long as the router has not been told.
            eventually(lambda: url in (tmp_path / "router.log").read_text(encoding="utf-8"), 5)
            assert router.remove(url)
        assert [one.result().status_code for one in asked] == [200] * 8
        with FakeOpenAIServer(api_key=KEY, port=dying.port) as again:
            assert router.add(url)
            numbers = itertools.count()

            def reaches_it() -> bool:
                answer = _post(router, "/v1/completions", COMMON | {"prompt": f"y {next(numbers)}"})
                assert answer.status_code == 200
                return len(again.payloads) > 0

            # The router sends nothing before it has seen for itself that the instance is well.
            eventually(reaches_it, 60, "a request to the instance that is back")


Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start(tmp_path: Path, router_python: Path) -> Iterator[Start]:
    """Start the front of two instances; end everything afterwards."""

    def begin(server: str, max_restarts: int = 1) -> "subprocess.Popen[str]":
        script = tmp_path / "launch.sh"
        script.write_text(server, encoding="utf-8")
        command = [sys.executable, str(REPOSITORY / "scripts" / "programs" / "instances.py"), "--folder", str(tmp_path)]
        command += ["--script", str(script), "--supervisor", str(REPOSITORY / "scripts" / "programs" / "supervise.py")]
        command += ["--router-python", str(router_python), "--router", str(PROGRAM), "--instances", "2", "--nodes", "1"]
        command += ["--health-path=/health", "--max-restarts", str(max_restarts), "--readiness-timeout-s", "60"]
        environment = os.environ | {
            "PATH": f"{REPOSITORY / 'tests' / 'fakes' / 'slurm_bin'}:{os.environ['PATH']}",
            "SLURM_JOB_ID": "7",
            **_mark(tmp_path).variables,
            "SNAKEVAL_API_KEY": KEY,
            "SNAKEVAL_HOST": LOOPBACK,
            "SNAKEVAL_PORT": str(free_port(LOOPBACK)),
        }
        log = (tmp_path / "server.log").open("w", encoding="utf-8")
        return subprocess.Popen(command, env=environment, stdout=log, stderr=subprocess.STDOUT, text=True)

    yield begin
    for process in _all_processes(tmp_path):
        process.kill()


def _all_processes(folder: Path) -> list[psutil.Process]:
    """Return the living processes of the front and of all instances of the server."""
    instances = [ServerPaths(file.parent) for file in folder.glob("instances/*/state.json")]
    marks = [
        _mark(folder),
        *(Mark.of(files.folder, (read_json(files.state) or {})["server_id"]) for files in instances),
    ]
    return [process for mark in marks for process in processes_of(mark)]


def _mark(folder: Path) -> Mark:
    return Mark.of(folder, "0123456789abcdef")


SERVE = f'exec {sys.executable} {FAKE} --port "$SNAKEVAL_PORT" --api-key-env SNAKEVAL_API_KEY\n'


def _log(folder: Path) -> str:
    return (folder / "server.log").read_text(encoding="utf-8")


def _instance(folder: Path, number: int) -> dict[str, Any]:
    return read_json(folder / "instances" / str(number) / "state.json") or {}


def test_restarts_the_router_and_ends_with_the_last_instance(start: Start, tmp_path: Path) -> None:
    front = start(SERVE)
    eventually(lambda: "routing begins: 2 of 2 instances are ready" in _log(tmp_path), 60)
    (router,) = [one for one in psutil.Process(front.pid).children() if str(PROGRAM) in command_of(one)]
    router.kill()
    eventually(lambda: "restart 1 of 1: the router ended with status -9" in _log(tmp_path), 30)
    for number in (0, 1):
        # The second death of an instance is its last one: one restart of its server, one of its step.
        os.kill(_instance(tmp_path, number)["supervisor_pid"], signal.SIGSTOP)
        os.kill(_instance(tmp_path, number)["pid"], signal.SIGKILL)
        os.kill(_instance(tmp_path, number)["supervisor_pid"], signal.SIGKILL)
    assert front.wait(timeout=60) == 1
    assert "error: no instance is ready any more\ninstance 0: not ready; the end of " in _log(tmp_path)
    eventually(lambda: _all_processes(tmp_path) == [], 10, "the end of all")


def test_what_never_becomes_ready_is_told_with_its_output(start: Start, tmp_path: Path) -> None:
    front = start('echo "CUDA out of memory, instance $SNAKEVAL_INSTANCE"; exit 3\n', max_restarts=5)
    assert front.wait(timeout=60) == 1
    log = _log(tmp_path)
    for number in (0, 1):
        assert f"instance {number} is given up: the server ended with status 3" in log
        assert f"CUDA out of memory, instance {number}\n" in log


def test_goes_on_with_the_instance_that_is_left(start: Start, tmp_path: Path) -> None:
    front = start(f'if [[ "$SNAKEVAL_INSTANCE" == 1 ]]; then exit 3; fi\n{SERVE}')
    eventually(lambda: "routing begins: 1 of 2 instances are ready" in _log(tmp_path), 60)
    assert "instance 1 is given up: the server ended with status 3" in _log(tmp_path)
    front.terminate()
    assert front.wait(timeout=30) == 0
    eventually(lambda: _all_processes(tmp_path) == [], 10, "the end of all")
