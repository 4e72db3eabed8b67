"""The gateway as a program, between a client and an endpoint that misbehaves."""

import json
import signal
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import pytest
import requests
from fakes.openai_server import FakeOpenAIServer
from gateway_bench import TOKEN, RunningGateway, make_settings, running_gateway
from snakeval.gateway.adapters import Adapters
from snakeval.gateway.entries import Header
from snakeval.gateway.journal import Journal
from snakeval.gateway.settings import Settings
from snakeval.run.gateway import Target
from workspace import eventually


def _text(response: requests.Response) -> str:
    assert response.status_code == 200, response.text
    return str(response.json()["choices"][0]["message"]["content"])


def _settings(folder: Path, fake: FakeOpenAIServer, **more: object) -> Settings:
    return make_settings(folder, fake.base_url, **more)


def _chat(gateway: RunningGateway, text: str = "[[answer:4|5|6]]", **more: object) -> requests.Response:
    return gateway.chat(text, model="fake-model", **more)


def test_the_harness_gets_answers_and_never_the_key(tmp_path: Path) -> None:
    with (
        FakeOpenAIServer(api_key="key-of-the-endpoint") as fake,
        running_gateway(_settings(tmp_path, fake), "key-of-the-endpoint") as gateway,
    ):
        assert _text(_chat(gateway)) == "4"
        assert gateway.post("/embeddings", {"model": "fake-model", "input": "a"}).json()["data"]
        assert requests.get(f"{gateway.url}/models", headers={"api-key": TOKEN}, timeout=9).json()["data"]
        for wrong in ("", "key-of-the-endpoint", "tökén"):
            headers = {"Authorization": f"Bearer {wrong}".encode()}
            refused = requests.post(f"{gateway.url}/chat/completions", json={}, headers=headers, timeout=9)
            assert (refused.status_code, "SNAKEVAL_API_KEY" in refused.text) == (401, True)
        told = gateway.end()
        assert told.unauthorised == 3
        assert told.kinds == {"answered": 2}
        assert (told.prompt_tokens, told.completion_tokens) == (2, 1)
        assert told.sampling == {"temperature": (0,)}
    assert "SNAKEVAL_API_KEY" in gateway.log.read_text()
    for file in tmp_path.iterdir():
        assert "key-of-the-endpoint" not in file.read_text(), file


def test_killed_at_any_moment_no_answered_request_is_sent_again(tmp_path: Path) -> None:
    with FakeOpenAIServer() as fake:
        drawn: dict[str, Any] = {"temperature": 0.7, "seed": 0}
        settings = _settings(tmp_path, fake, vary_seed=True)
        with running_gateway(settings) as gateway:
            first = [_text(_chat(gateway, **drawn)) for _ in range(2)]
            gateway.process.send_signal(signal.SIGKILL)
        assert first == ["4", "5"]
        # The harness lives on and asks the third time: it gets an answer of its own.
        with running_gateway(settings) as gateway:
            assert _text(_chat(gateway, **drawn)) == "6"
        assert len(fake.payloads) == 3
        # Another attempt begins from the start.
        with running_gateway(msgspec.structs.replace(settings, life="second")) as gateway:
            assert [_text(_chat(gateway, **drawn)) for _ in range(4)] == ["4", "5", "6", "4"]
            assert gateway.end().remembered == 3
        assert [payload["seed"] for payload in fake.payloads] == [0, 1, 2, 3]


def test_a_changed_deployment_is_asked_anew_and_a_new_request_alone_is_sent(tmp_path: Path) -> None:
    with FakeOpenAIServer() as fake:
        settings = _settings(tmp_path, fake)
        with running_gateway(settings) as gateway:
            _chat(gateway)
        longer = msgspec.structs.replace(settings, life="second")
        with running_gateway(longer) as gateway:
            assert [_text(_chat(gateway)), _text(_chat(gateway, "[[answer:7]]"))] == ["4", "7"]
        assert len(fake.payloads) == 2
        with running_gateway(msgspec.structs.replace(settings, deployment="another", life="third")) as gateway:
            _chat(gateway)
        assert len(fake.payloads) == 3


def test_a_busy_endpoint_is_waited_for_and_costs_no_try(tmp_path: Path) -> None:
    with FakeOpenAIServer(faults=("status-every:429:2",)) as fake:
        with running_gateway(_settings(tmp_path, fake, tries=1)) as gateway:
            assert [_text(_chat(gateway, f"[[answer:{n}]]")) for n in range(3)] == ["0", "1", "2"]
            told = gateway.end()
        assert told.again == 2
        assert told.allowed < 16
        assert told.waiting_for is None


def test_patience_has_an_end(tmp_path: Path) -> None:
    with (
        FakeOpenAIServer(faults=("status:429",)) as fake,
        running_gateway(_settings(tmp_path, fake, patience_s=0.5)) as gateway,
    ):
        refused = _chat(gateway)
        assert refused.status_code == 502
        assert "waited for 0.5 s" in refused.text
        assert gateway.end().kinds == {"busy": 1}


def test_what_cannot_change_is_sent_once(tmp_path: Path) -> None:
    with (
        FakeOpenAIServer(faults=("status-if:400:bad",)) as fake,
        running_gateway(_settings(tmp_path, fake, tries=5)) as gateway,
    ):
        refused = _chat(gateway, "a bad prompt")
        assert (refused.status_code, refused.headers["x-should-retry"]) == (400, "false")
        assert "injected fault" in refused.json()["error"]["message"]
        assert len(fake.payloads) == 1
        wrong = gateway.chat("hello", model="another")
        assert (wrong.status_code, wrong.json()["error"]["code"]) == (404, "wrong model")


@pytest.mark.parametrize(
    ("fault", "kind", "sent"),
    [
        ("status:500", "server error", 2),
        ("null", "not an answer", 2),
        ("empty-choices", "not an answer", 2),
        ("not-json", "not an answer", 2),
        ("drop", "unreachable", 2),
        ("reasoning", "thought only", 1),
    ],
)
def test_no_answer_is_never_remembered(tmp_path: Path, fault: str, kind: str, sent: int) -> None:
    with FakeOpenAIServer(faults=(fault,)) as fake:
        settings = _settings(tmp_path, fake)
        with running_gateway(settings) as gateway:
            refused = _chat(gateway)
            assert (refused.status_code, refused.json()["error"]["code"]) == (502, kind)
            assert gateway.end().kinds == {kind: 1}
        # aiohttp itself sends again where a kept connection was closed before a byte came back.
        assert len(fake.payloads) >= sent
        assert len(Journal(settings.journal, Header(settings.deployment, settings.adapters.hash, ""), "x")) == 0


def test_without_hope_nothing_more_is_sent(tmp_path: Path) -> None:
    with (
        FakeOpenAIServer(faults=("status:500",)) as fake,
        running_gateway(_settings(tmp_path, fake, tries=1, give_up_after=3)) as gateway,
    ):
        for number in range(6):
            assert _chat(gateway, f"question {number}").status_code == 502
        assert len(fake.payloads) == 3
        assert gateway.end().hopeless


def test_a_harness_that_wants_a_stream_gets_one_fresh_or_remembered(tmp_path: Path) -> None:
    with FakeOpenAIServer() as fake:
        settings = _settings(tmp_path, fake)
        for life in ("first", "second"):
            with running_gateway(msgspec.structs.replace(settings, life=life)) as gateway:
                streamed = _chat(gateway, stream=True)
                assert streamed.headers["Content-Type"] == "text/event-stream"
                lines = [line for line in streamed.text.split("\n\n") if line]
                assert lines[-1] == "data: [DONE]"
                pieces = [json.loads(line.removeprefix("data: ")) for line in lines[:-1]]
                texts = [c["delta"].get("content", "") for piece in pieces for c in piece["choices"]]
                assert "".join(texts) == "4"
        assert len(fake.payloads) == 1
        assert "stream" not in fake.payloads[0]


def test_a_client_that_goes_away_gets_the_same_answer_later(tmp_path: Path) -> None:
    with FakeOpenAIServer(faults=("hold-after:0",)) as fake, running_gateway(_settings(tmp_path, fake)) as gateway:
        with pytest.raises(requests.Timeout):
            body = {"model": "fake-model", "temperature": 0, "messages": [{"role": "user", "content": "[[answer:4]]"}]}
            headers = {"Authorization": f"Bearer {TOKEN}"}
            requests.post(f"{gateway.url}/chat/completions", json=body, headers=headers, timeout=0.5)
        fake.release()
        eventually(lambda: gateway.told.latency_p50_s is not None, 20, "the answer that nobody waits for")
        assert gateway.told.kinds == {}
        assert _text(_chat(gateway, "[[answer:4]]")) == "4"
        assert len(fake.payloads) == 1
        assert gateway.end().kinds == {"answered": 1}


def test_its_end_does_not_wait_for_answers_that_nobody_wants(tmp_path: Path) -> None:
    with FakeOpenAIServer(faults=("hold-after:0",)) as fake, running_gateway(_settings(tmp_path, fake)) as gateway:
        with pytest.raises(requests.Timeout):
            requests.post(
                f"{gateway.url}/completions",
                json={"model": "fake-model", "prompt": "a"},
                headers={"Authorization": f"Bearer {TOKEN}"},
                timeout=0.5,
            )
        fake.wait_for_requests(1)
        # It would fail the test, had it not ended in half a minute.
        assert gateway.end().kinds == {}


def test_replay_answers_from_the_journal_alone(tmp_path: Path) -> None:
    with FakeOpenAIServer() as fake:
        settings = _settings(tmp_path, fake)
        with running_gateway(settings) as gateway:
            _chat(gateway)
    with running_gateway(msgspec.structs.replace(settings, life="second", replay=True)) as gateway:
        assert _text(_chat(gateway)) == "4"
        assert _chat(gateway, "something new").status_code == 424
        assert gateway.end().missing == 1


def test_log_probabilities_that_are_off_by_one_are_refused(tmp_path: Path) -> None:
    body = {"model": "fake-model", "echo": True, "logprobs": 1, "max_tokens": 1, "temperature": 0}
    for fault, status in (("off-by-one", 502), ("no-echo", 502), ("slow:0", 200)):
        folder = tmp_path / fault
        folder.mkdir()
        with FakeOpenAIServer(faults=(fault,)) as fake, running_gateway(_settings(folder, fake)) as gateway:
            prompt = fake.token_ids("The capital of France is Paris")
            assert gateway.post("/completions", {**body, "prompt": prompt}).status_code == status, fault


def test_the_tokenizer_beside_the_api_is_asked_too(tmp_path: Path) -> None:
    with FakeOpenAIServer() as fake, running_gateway(_settings(tmp_path, fake)) as gateway:
        root = gateway.url.removesuffix("/v1")
        headers = {"Authorization": f"Bearer {TOKEN}"}
        assert requests.get(f"{root}/tokenizer_info", headers=headers, timeout=9).json()["eos_token"] == "</s>"
        asked = requests.post(f"{root}/tokenize", json={"prompt": "a b"}, headers=headers, timeout=9)
        assert asked.json() == {"tokens": [0, 1]}
        assert requests.post(f"{root}/detokenize", json=asked.json(), timeout=9).status_code == 401
        assert requests.get(f"{root}/health", headers=headers, timeout=9).status_code == 404
        assert gateway.end().kinds == {}


def _closed_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def test_proxies_are_for_endpoints_that_are_not_ours(tmp_path: Path) -> None:
    proxy = {"HTTP_PROXY": f"http://127.0.0.1:{_closed_port()}", "http_proxy": "", "no_proxy": ""}
    with FakeOpenAIServer() as fake:
        for own, no_proxy, status in ((True, "", 200), (False, "127.0.0.0/8", 200), (False, "", 502)):
            folder = tmp_path / f"{own}{no_proxy[:3]}"
            folder.mkdir()
            settings = _settings(folder, fake, own_server=own, tries=1)
            environ = {**proxy, "http_proxy": proxy["HTTP_PROXY"], "NO_PROXY": no_proxy, "no_proxy": no_proxy}
            with running_gateway(settings, **environ) as gateway:
                answer = _chat(gateway)
                assert answer.status_code == status, (own, no_proxy)
                assert status == 200 or "proxy" in answer.json()["error"]["message"]


def test_adapters_change_what_is_sent(tmp_path: Path) -> None:
    adapters = Adapters(system_prompt="Be brief.", remove=("seed",), query={"api-version": "1"}, add={"top_p": 0.5})
    with (
        FakeOpenAIServer() as fake,
        running_gateway(_settings(tmp_path, fake, adapters=adapters)) as gateway,
    ):
        # The stand-in knows no parameters of the URL, and says so with its path.
        assert "/v1/chat/completions?api-version=1" in _chat(gateway, seed=3).json()["error"]["message"]
        assert gateway.end().sampling == {"temperature": (0,), "top_p": (0.5,)}


def test_requests_wait_for_a_server_that_comes_back_and_go_where_it_is_then(tmp_path: Path) -> None:
    target = tmp_path / "target.json"
    with FakeOpenAIServer(api_key="second") as fake:
        gone = socket.socket()
        gone.bind(("127.0.0.1", 0))
        Target(f"http://127.0.0.1:{gone.getsockname()[1]}/v1", "first", "one.0.1").write(target)
        settings = _settings(tmp_path, fake, target=target, tries=1)
        with running_gateway(settings) as gateway, ThreadPoolExecutor() as pool:
            answers = [pool.submit(_chat, gateway, f"[[answer:{number}]]") for number in range(4)]
            waiting = "the server of tiny is starting (it crashed)"
            Target(fake.base_url, "first", "one.0.1", waiting).write(target)
            eventually(lambda: gateway.told.waiting_for == waiting, 20, "a gateway that waits")
            assert not any(answer.done() for answer in answers)
            assert not fake.payloads
            Target(fake.base_url, "second", "one.0.2").write(target)
            assert [_text(answer.result(30)) for answer in answers] == ["0", "1", "2", "3"]
            told = gateway.end()
        assert (told.kinds, told.sent, told.unanswered) == ({"answered": 4}, 4, 0)
        journal = Journal(settings.journal, Header(settings.deployment, settings.adapters.hash, ""), "x")
        assert {answer.generation for answer in journal.answers()} == {"one.0.2"}
        gone.close()


def test_a_server_that_was_back_before_anybody_saw_it_wants_another_key(tmp_path: Path) -> None:
    target = tmp_path / "target.json"
    with FakeOpenAIServer(api_key="second") as fake:
        Target(fake.base_url, "first", "one.0.1").write(target)
        settings = _settings(tmp_path, fake, target=target, tries=1)
        with running_gateway(settings) as gateway, ThreadPoolExecutor() as pool:
            answer = pool.submit(_chat, gateway)
            eventually(lambda: gateway.told.sent == 1, 20, "the request with the old key")
            Target(fake.base_url, "second", "one.0.2").write(target)
            assert _text(answer.result(30)) == "4"
            assert gateway.end().kinds == {"answered": 1}


def test_a_gateway_ends_with_whoever_started_it_and_listens_on_the_same_port_again(tmp_path: Path) -> None:
    with FakeOpenAIServer() as fake:
        settings = _settings(tmp_path, fake, lifeline=True)
        with running_gateway(settings) as gateway:
            port = int(gateway.url.rpartition(":")[2].partition("/")[0])
            assert _text(_chat(gateway)) == "4"
            assert gateway.process.stdin is not None
            gateway.process.stdin.close()
            gateway.process.wait(30)
        with running_gateway(msgspec.structs.replace(settings, port=port)) as gateway:
            assert gateway.url.endswith(f":{port}/v1")
            # The same life of the harness: what it was given counts still.
            assert gateway.told.kinds == {"answered": 1}
