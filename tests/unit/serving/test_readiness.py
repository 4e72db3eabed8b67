"""The check of an endpoint: what it accepts, and what it says about each way to be wrong."""

import socket
import ssl
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests
from fakes.openai_server import FakeOpenAIServer
from snakeval.endpoint import Endpoint, Protocol
from snakeval.errors import EndpointError
from snakeval.serving import probe as readiness
from snakeval.serving.probe import BusyError, check_endpoint
from snakeval.system.certificates import CA_VARIABLES

KEY = "top-secret"
INJECTED = '{"error": {"message": "injected fault: status 500", "code": 500}}'
NO_LOGPROBS = (
    "{url} gives no usable log-probabilities of the prompt ({found}): "
    "tasks of protocol loglikelihood need an engine such as vLLM or SGLang"
)


def _endpoint(server: FakeOpenAIServer, model: str = "fake-model", key: str | None = KEY) -> Endpoint:
    return Endpoint(server.base_url, model, key)


def _complaint(endpoint: Endpoint, protocol: Protocol = Protocol.CHAT, checks_api_key: bool = False) -> str:
    """Return what the check says against the endpoint, its base URL as {url}."""
    with pytest.raises(EndpointError) as raised:
        check_endpoint(endpoint, protocol, checks_api_key)
    assert KEY not in str(raised.value)
    return str(raised.value).replace(endpoint.base_url, "{url}")


@pytest.mark.parametrize("protocol", Protocol)
@pytest.mark.parametrize("key", [KEY, None])
def test_a_good_endpoint_is_asked_once(protocol: Protocol, key: str | None) -> None:
    with FakeOpenAIServer(api_key=key) as server:
        check_endpoint(_endpoint(server, key=key), protocol, checks_api_key=key is not None)
    assert len(server.payloads) == 1
    assert server.payloads[0]["model"] == "fake-model"
    assert ("messages" in server.payloads[0]) is (protocol is Protocol.CHAT)
    assert ("input" in server.payloads[0]) is (protocol is Protocol.EMBEDDINGS)
    assert ("echo" in server.payloads[0]) is (protocol is Protocol.LOGLIKELIHOOD)


def test_another_model() -> None:
    with FakeOpenAIServer(api_key=KEY) as server:
        said = _complaint(_endpoint(server, model="wanted"))
    assert said == "{url} does not serve the model 'wanted'; it serves: fake-model"
    assert server.payloads == []


@pytest.mark.parametrize("key", [None, "wrong"])
@pytest.mark.parametrize("checks_api_key", [True, False])
def test_no_key_or_a_wrong_one(key: str | None, checks_api_key: bool) -> None:
    with FakeOpenAIServer(api_key=KEY) as server:
        said = _complaint(_endpoint(server, key=key), checks_api_key=checks_api_key)
    assert said == "{url}/chat/completions refused the API key (HTTP 401); its listing of models answered HTTP 401"


def test_a_stranger_answers_without_our_key() -> None:
    with FakeOpenAIServer() as server:
        said = _complaint(_endpoint(server), checks_api_key=True)
        check_endpoint(_endpoint(server), Protocol.CHAT, checks_api_key=False)
    assert said == "{url} answers without our key: it is a stranger's server, not ours"


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("not-json", "{url}{path} answered something that is no JSON object: <html>this is not JSON</html>"),
        ("status:500", "{url}{path} answered HTTP 500: " + INJECTED),
        ("drop", "{url}{path} does not answer: connection refused or lost"),
    ],
)
@pytest.mark.parametrize("protocol", Protocol)
def test_unusable_answers(fault: str, said: str, protocol: Protocol) -> None:
    with FakeOpenAIServer(api_key=KEY, faults=(fault,)) as server:
        assert _complaint(_endpoint(server), protocol) == said.replace("{path}", readiness.PATHS[protocol])


@pytest.mark.parametrize("protocol", Protocol)
def test_empty_choices(protocol: Protocol) -> None:
    with FakeOpenAIServer(api_key=KEY, faults=("empty-choices",)) as server:
        said = _complaint(_endpoint(server), protocol)
    kind, part = ("list", "data") if protocol is Protocol.EMBEDDINGS else ("completion", "choices")
    start = f'{{url}}{readiness.PATHS[protocol]} answered without {part}: {{"id": "fake", "object": "{kind}", '
    assert said.startswith(start + f'"model": "fake-model", "{part}": [], "usage": {{')


def test_nobody_there() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        endpoint = Endpoint(f"http://127.0.0.1:{taken.getsockname()[1]}/v1", "fake-model", KEY)
        for checks in (True, False):
            said = _complaint(endpoint, checks_api_key=checks)
            assert said == "{url}/models does not answer: connection refused or lost"


def test_no_answer_in_time() -> None:
    says = pytest.raises(EndpointError, match="/v1/chat/completions does not answer: timed out")
    with FakeOpenAIServer(api_key=KEY, faults=("hold-after:0",)) as server, says:
        check_endpoint(_endpoint(server), Protocol.CHAT, timeout_s=0.1)


@pytest.mark.parametrize(("fault", "found"), [("off-by-one", "6 of 7"), ("no-echo", "none")])
def test_log_probabilities_that_would_score_nonsense(fault: str, found: str) -> None:
    with FakeOpenAIServer(api_key=KEY, faults=(fault,)) as server:
        assert _complaint(_endpoint(server), Protocol.LOGLIKELIHOOD) == NO_LOGPROBS.replace("{found}", found)
        check_endpoint(_endpoint(server), Protocol.COMPLETIONS)


@pytest.mark.parametrize("logprobs", [None, [], [1.0], "text", {"token_logprobs": None}, {"token_logprobs": "x"}])
def test_log_probabilities_of_another_form(logprobs: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requests.Session, "get", _answering({"data": [{"id": "fake-model"}]}))
    monkeypatch.setattr(requests.Session, "post", _answering({"choices": [{"text": "x", "logprobs": logprobs}]}))
    endpoint = Endpoint("http://gateway/v1", "fake-model", None)
    assert _complaint(endpoint, Protocol.LOGLIKELIHOOD) == NO_LOGPROBS.replace("{found}", "none")


@pytest.mark.parametrize("choices", [None, [], {}, [None], ["text"]])
def test_choices_of_another_form(choices: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requests.Session, "get", _answering({"data": [{"id": "fake-model"}]}))
    monkeypatch.setattr(requests.Session, "post", _answering({"choices": choices, "data": choices}))
    for protocol in Protocol:
        said = _complaint(Endpoint("http://gateway/v1", "fake-model", None), protocol)
        part = "data" if protocol is Protocol.EMBEDDINGS else "choices"
        assert said.startswith(f"{{url}}{readiness.PATHS[protocol]} answered without {part}: ")


@pytest.mark.parametrize("status", [404, 405, 501])
def test_a_gateway_may_list_no_models(status: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requests.Session, "get", _answering({}, status))
    with FakeOpenAIServer(api_key=KEY) as server:
        check_endpoint(_endpoint(server), Protocol.CHAT)
        said = _complaint(_endpoint(server, model="wanted"))
    assert said.startswith("{url}/chat/completions answered HTTP 404: ")


@pytest.mark.parametrize("data", [None, [], ["fake-model"], [{}]])
def test_a_list_without_our_model(data: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requests.Session, "get", _answering({"data": data}))
    said = _complaint(Endpoint("http://gateway/v1", "wanted", None))
    names = "None" if data == [{}] else "nothing"
    assert said == f"{{url}} does not serve the model 'wanted'; it serves: {names}"


def _answering(body: Any, status: int = 200) -> Callable[..., requests.Response]:
    """Return a stand-in for the methods of a session."""

    def answer(_session: requests.Session, url: str, **_: Any) -> requests.Response:
        response = requests.Response()
        response.status_code, response.url = status, url
        response.json = lambda **_: body  # type: ignore[method-assign]
        response._content = repr(body).encode()
        return response

    return answer


@pytest.mark.parametrize(
    ("status", "body"),
    [(403, {"error": "no listing"}), (400, {}), (200, [{"id": "x"}]), (200, {"data": [{"id": "openai/*"}]})],
)
@pytest.mark.parametrize("names", [["fake-model:latest"], ["fake-model"]])
def test_a_listing_is_a_hint_and_the_answer_decides(
    status: int, body: Any, names: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with FakeOpenAIServer(api_key=KEY) as server:
        for listing in (body, {"data": [{"id": name} for name in names]}):
            monkeypatch.setattr(requests.Session, "get", _answering(listing, status if listing is body else 200))
            check_endpoint(_endpoint(server), Protocol.CHAT)
        assert len(server.payloads) == 2


def test_an_endpoint_that_refuses_parameters_is_asked_without_them(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[dict[str, Any]] = []
    good = _answering({"choices": [{"message": {"content": "yes"}}]})
    bad = _answering({"error": {"message": "Unsupported parameter"}}, 400)

    def answer(session: requests.Session, url: str, json: dict[str, Any], **more: Any) -> requests.Response:
        asked.append(json)
        refused = {"max_tokens", "temperature", *(["max_completion_tokens"] if limitless else [])} & json.keys()
        return (bad if refused else good)(session, url, **more)

    monkeypatch.setattr(requests.Session, "get", _answering({}, 404))
    monkeypatch.setattr(requests.Session, "post", answer)
    endpoint = Endpoint("http://gateway/v1", "fake-model", None)
    limitless = False
    check_endpoint(endpoint, Protocol.CHAT)
    assert [sorted(one) for one in asked] == [
        ["max_tokens", "messages", "model", "temperature"],
        ["max_completion_tokens", "messages", "model"],
    ]
    limitless = True
    check_endpoint(endpoint, Protocol.CHAT)
    assert sorted(asked[-1]) == ["messages", "model"]
    assert "answered HTTP 400" in _complaint(endpoint, Protocol.COMPLETIONS)


def test_a_busy_endpoint_asks_for_patience() -> None:
    with FakeOpenAIServer(api_key=KEY, faults=("status:429",)) as server, pytest.raises(BusyError) as raised:
        check_endpoint(_endpoint(server), Protocol.CHAT)
    assert "/v1/chat/completions is busy (HTTP 429): " in str(raised.value)


def test_a_certificate_is_told_from_a_lost_connection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in CA_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    command += ["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True)
    with FakeOpenAIServer(api_key=KEY) as server:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        server.http.socket = context.wrap_socket(server.http.socket, server_side=True)
        endpoint = Endpoint(server.base_url.replace("http://", "https://"), "fake-model", KEY)
        said = _complaint(endpoint)
        assert "its certificate is not trusted" in said
        assert "SSL_CERT_FILE or REQUESTS_CA_BUNDLE" in said
        for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"):
            with monkeypatch.context() as patch:
                patch.setenv(name, str(certificate))
                check_endpoint(endpoint, Protocol.CHAT)
