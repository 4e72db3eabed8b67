"""Is an endpoint really ours, and does it really answer the kind of request that a task sends?"""

import re
from collections.abc import Iterator
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from requests.utils import get_environ_proxies

from snakeval.endpoint import Endpoint, Protocol
from snakeval.errors import EndpointError
from snakeval.gateway.kinds import BUSY_STATUS
from snakeval.system.certificates import trusting_context, untrusted

REQUEST_TIMEOUT_S = 120.0
CONNECT_TIMEOUT_S = 30.0
LISTING = "/models"
# A reasoning model needs some tokens before it says anything.
SHORT_WITH_THOUGHT = 64
PATHS = {
    Protocol.CHAT: "/chat/completions",
    Protocol.COMPLETIONS: "/completions",
    Protocol.LOGLIKELIHOOD: "/completions",
    Protocol.EMBEDDINGS: "/embeddings",
}


class BusyError(EndpointError):
    """The endpoint asks for patience, as with HTTP 429.

    Attributes:
        retry_after: What it says about how long, None for nothing.
    """

    def __init__(self, message: str, retry_after: str | None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


def check_endpoint(
    endpoint: Endpoint,
    protocol: Protocol,
    checks_api_key: bool = False,
    timeout_s: float = REQUEST_TIMEOUT_S,
    by_proxy: bool = False,
) -> None:
    """Ask the endpoint for its models and for one answer; returns when all is well.

    The answer decides. A listing is believed where it names models one by one and lacks ours; any other listing, or
    none, is a hint for the message when there is no answer.

    Args:
        endpoint: Base URL, served model name and key.
        protocol: The kind of request to send.
        checks_api_key: Our server refuses requests without its key: one that does not is a stranger's.
        timeout_s: How long an answer may take, of each request; a connection is there within 30 s or not at all.
        by_proxy: Whether the site's proxy, which the environment names, leads there; to our own servers it does not.

    Raises:
        BusyError: it asks for patience.
        EndpointError: it does not answer, is a stranger, serves another model, or its answer is unusable.
    """
    with _session(endpoint, by_proxy) as session:
        _check(session, endpoint, protocol, checks_api_key, timeout_s)


def _check(
    session: requests.Session, endpoint: Endpoint, protocol: Protocol, checks_api_key: bool, timeout_s: float
) -> None:
    if checks_api_key and _get(session, endpoint, timeout_s, authorised=False).status_code not in (401, 403):
        raise EndpointError(f"{endpoint.base_url} answers without our key: it is a stranger's server, not ours")
    response = _get(session, endpoint, timeout_s)
    served = _listed(response)
    if served is not None and _lacks(served, endpoint.model):
        names = ", ".join(served) or "nothing"
        raise EndpointError(f"{endpoint.base_url} does not serve the model {endpoint.model!r}; it serves: {names}")
    try:
        _check_answer(session, endpoint, protocol, timeout_s)
    except EndpointError as error:
        if isinstance(error, BusyError) or response.ok:
            raise
        raise EndpointError(f"{error}; its listing of models answered HTTP {response.status_code}") from None


def _listed(response: requests.Response) -> list[str] | None:
    """Return the names in a listing of models; None for what is no listing in the form of OpenAI's API."""
    body = _object_in(response) if response.ok else None
    if body is None:
        return None
    return [str(entry.get("id")) for entry in body.get("data") or [] if isinstance(entry, dict)]


def _lacks(served: list[str], model: str) -> bool:
    """Return whether a listing says that there is no such model; patterns, and other tags of its name, do not."""
    plain = {name.partition(":")[0] for name in served}
    return model not in served and model.partition(":")[0] not in plain and not any("*" in name for name in served)


def _payload(model: str, protocol: Protocol) -> dict[str, object]:
    if protocol is Protocol.EMBEDDINGS:
        return {"model": model, "input": ["Say yes."]}
    payload: dict[str, object] = {"model": model, "max_tokens": 8, "temperature": 0}
    if protocol is Protocol.CHAT:
        payload["messages"] = [{"role": "user", "content": "Say yes."}]
    elif protocol is Protocol.COMPLETIONS:
        payload["prompt"] = "Say yes."
    else:
        payload |= {"prompt": "The capital of France is Paris", "max_tokens": 1, "logprobs": 1, "echo": True}
    return payload


def _payloads(model: str, protocol: Protocol) -> Iterator[dict[str, object]]:
    """Yield what to ask, and what instead where a parameter is refused: the newer name of the limit, then neither."""
    payload = _payload(model, protocol)
    yield payload
    if protocol is Protocol.CHAT:
        bare = {name: value for name, value in payload.items() if name not in ("max_tokens", "temperature")}
        yield bare | {"max_completion_tokens": SHORT_WITH_THOUGHT}
        yield bare


def _check_answer(session: requests.Session, endpoint: Endpoint, protocol: Protocol, timeout_s: float) -> None:
    path = PATHS[protocol]
    refused: requests.Response | None = None
    for payload in _payloads(endpoint.model, protocol):
        response = _post(session, endpoint, path, payload, timeout_s)
        if response.status_code not in (400, 422):
            break
        refused = refused or response
    else:
        # What was said of the first request tells most.
        response = refused or response
    body = _json_of(response)
    part = "data" if protocol is Protocol.EMBEDDINGS else "choices"
    answers = body.get(part)
    if not isinstance(answers, list) or not answers or not isinstance(answers[0], dict):
        raise EndpointError(f"{endpoint.base_url}{path} answered without {part}: {response.text[:200]}")
    if protocol is Protocol.LOGLIKELIHOOD:
        _check_logprobs(endpoint, body)


def _post(
    session: requests.Session, endpoint: Endpoint, path: str, payload: dict[str, object], timeout_s: float
) -> requests.Response:
    headers, patience_s = _headers(endpoint), (CONNECT_TIMEOUT_S, timeout_s)
    try:
        return session.post(endpoint.base_url + path, json=payload, headers=headers, timeout=patience_s)
    except requests.RequestException as error:
        raise EndpointError(f"{endpoint.base_url}{path} does not answer: {_brief(error)}") from None


def _check_logprobs(endpoint: Endpoint, body: dict[str, Any]) -> None:
    """The prompt's tokens and the generated one must all be there: some engines are off by one and score nonsense."""
    scored = body["choices"][0].get("logprobs")
    logprobs = scored.get("token_logprobs") if isinstance(scored, dict) else None
    usage = body.get("usage") or {}
    expected = usage.get("prompt_tokens", 0) + usage.get("completion_tokens", 0)
    if not isinstance(logprobs, list) or (expected and len(logprobs) != expected):
        found = f"{len(logprobs)} of {expected}" if isinstance(logprobs, list) else "none"
        raise EndpointError(
            f"{endpoint.base_url} gives no usable log-probabilities of the prompt ({found}): "
            "tasks of protocol loglikelihood need an engine such as vLLM or SGLang"
        )


def _get(session: requests.Session, endpoint: Endpoint, timeout_s: float, authorised: bool = True) -> requests.Response:
    headers, patience_s = _headers(endpoint) if authorised else {}, (CONNECT_TIMEOUT_S, timeout_s)
    try:
        return session.get(endpoint.base_url + LISTING, headers=headers, timeout=patience_s)
    except requests.RequestException as error:
        raise EndpointError(f"{endpoint.base_url}{LISTING} does not answer: {_brief(error)}") from None


class _Trusting(HTTPAdapter):
    """Checks certificates as the gateway does."""

    def init_poolmanager(self, *arguments: Any, **more: Any) -> None:
        """Make connections with our context."""
        super().init_poolmanager(*arguments, **more, ssl_context=trusting_context())

    def proxy_manager_for(self, proxy: str, **more: Any) -> Any:
        """Do the same through a proxy."""
        return super().proxy_manager_for(proxy, **more, ssl_context=trusting_context())

    def cert_verify(self, conn: Any, url: str, verify: Any, cert: Any) -> None:
        """Leave the context as it is: requests would load one of the variables alone."""
        conn.cert_reqs = "CERT_REQUIRED"


def _session(endpoint: Endpoint, by_proxy: bool) -> requests.Session:
    """Return what sends requests, by the environment's proxies and certificates and by nothing of netrc."""
    session = requests.Session()
    session.trust_env = False
    session.proxies = dict(get_environ_proxies(endpoint.base_url)) if by_proxy else {}
    session.mount("https://", _Trusting())
    return session


def _json_of(response: requests.Response) -> dict[str, Any]:
    if response.status_code in BUSY_STATUS:
        text = f"{response.url} is busy (HTTP {response.status_code}): {response.text[:200]}"
        raise BusyError(text, response.headers.get("Retry-After"))
    if response.status_code in (401, 403):
        raise EndpointError(f"{response.url} refused the API key (HTTP {response.status_code})")
    if not response.ok:
        raise EndpointError(f"{response.url} answered HTTP {response.status_code}: {response.text[:200]}")
    body = _object_in(response)
    if body is None:
        raise EndpointError(f"{response.url} answered something that is no JSON object: {response.text[:200]}")
    return body


def _object_in(response: requests.Response) -> dict[str, Any] | None:
    """Return the JSON object that a response is, None for anything else."""
    try:
        body = response.json()
    except requests.JSONDecodeError:
        return None
    return body if isinstance(body, dict) else None


def _headers(endpoint: Endpoint) -> dict[str, str]:
    return {"Authorization": f"Bearer {endpoint.api_key}"} if endpoint.api_key else {}


def _brief(error: requests.RequestException) -> str:
    if isinstance(error, requests.Timeout):
        return "timed out"
    if isinstance(error, requests.exceptions.SSLError):
        found = re.search(r"certificate verify failed: ([^()]+)", str(error))
        return untrusted(found[1].strip() if found else "it cannot be checked")
    if isinstance(error, requests.exceptions.ProxyError):
        return "its proxy does not answer"
    if isinstance(error, requests.ConnectionError):
        return "connection refused or lost"
    return type(error).__name__
