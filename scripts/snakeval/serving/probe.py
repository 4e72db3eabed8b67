"""Is an endpoint really ours, and does it really answer the kind of request that a task sends?"""

from typing import Any
from urllib.parse import urlsplit

import requests

from snakeval.endpoint import Endpoint, Protocol
from snakeval.errors import EndpointError

REQUEST_TIMEOUT_S = 120.0
CONNECT_TIMEOUT_S = 30.0
PATHS = {
    Protocol.CHAT: "/chat/completions",
    Protocol.COMPLETIONS: "/completions",
    Protocol.LOGLIKELIHOOD: "/completions",
    Protocol.EMBEDDINGS: "/embeddings",
}


def check_endpoint(
    endpoint: Endpoint, protocol: Protocol, checks_api_key: bool = False, timeout_s: float = REQUEST_TIMEOUT_S
) -> None:
    """Ask the endpoint for its models and for one answer; returns when all is well.

    Args:
        endpoint: Base URL, served model name and key.
        protocol: The kind of request to send.
        checks_api_key: Our server refuses requests without its key: one that does not is a stranger's.
        timeout_s: How long an answer may take, of each request; a connection is there within 30 s or not at all.

    Raises:
        EndpointError: it does not answer, is a stranger, serves another model, or its answer is unusable.
    """
    if checks_api_key and _get(endpoint, "/models", timeout_s, authorised=False).status_code not in (401, 403):
        raise EndpointError(f"{endpoint.base_url} answers without our key: it is a stranger's server, not ours")
    _check_model(endpoint, timeout_s)
    _check_answer(endpoint, protocol, timeout_s)


def _check_model(endpoint: Endpoint, timeout_s: float) -> None:
    response = _get(endpoint, "/models", timeout_s)
    if response.status_code in (404, 405, 501):
        return  # Some gateways list no models; the request that follows decides.
    body = _json_of(response)
    served = [str(entry.get("id")) for entry in body.get("data") or [] if isinstance(entry, dict)]
    if endpoint.model not in served:
        names = ", ".join(served) or "nothing"
        raise EndpointError(f"{endpoint.base_url} does not serve the model {endpoint.model!r}; it serves: {names}")


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


def _check_answer(endpoint: Endpoint, protocol: Protocol, timeout_s: float) -> None:
    path = PATHS[protocol]
    try:
        response = requests.post(
            endpoint.base_url + path,
            json=_payload(endpoint.model, protocol),
            headers=_headers(endpoint),
            timeout=(CONNECT_TIMEOUT_S, timeout_s),
            proxies=_proxies(endpoint),
        )
    except requests.RequestException as error:
        raise EndpointError(f"{endpoint.base_url}{path} does not answer: {_brief(error)}") from None
    body = _json_of(response)
    part = "data" if protocol is Protocol.EMBEDDINGS else "choices"
    answers = body.get(part)
    if not isinstance(answers, list) or not answers or not isinstance(answers[0], dict):
        raise EndpointError(f"{endpoint.base_url}{path} answered without {part}: {response.text[:200]}")
    if protocol is Protocol.LOGLIKELIHOOD:
        _check_logprobs(endpoint, body)


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


def _get(endpoint: Endpoint, path: str, timeout_s: float, authorised: bool = True) -> requests.Response:
    headers, patience_s = _headers(endpoint) if authorised else {}, (CONNECT_TIMEOUT_S, timeout_s)
    try:
        return requests.get(endpoint.base_url + path, headers=headers, timeout=patience_s, proxies=_proxies(endpoint))
    except requests.RequestException as error:
        raise EndpointError(f"{endpoint.base_url}{path} does not answer: {_brief(error)}") from None


def _json_of(response: requests.Response) -> dict[str, Any]:
    if response.status_code in (401, 403):
        raise EndpointError(f"{response.url} refused the API key (HTTP {response.status_code})")
    if not response.ok:
        raise EndpointError(f"{response.url} answered HTTP {response.status_code}: {response.text[:200]}")
    try:
        body = response.json()
    except requests.JSONDecodeError:
        body = None
    if not isinstance(body, dict):
        raise EndpointError(f"{response.url} answered something that is no JSON object: {response.text[:200]}")
    return body


def _proxies(endpoint: Endpoint) -> dict[str, str] | None:
    """A site's proxy, which requests takes from the environment, does not lead to servers of our own network."""
    parts = urlsplit(endpoint.base_url)
    return {"no_proxy": parts.hostname or ""} if parts.scheme == "http" else None


def _headers(endpoint: Endpoint) -> dict[str, str]:
    return {"Authorization": f"Bearer {endpoint.api_key}"} if endpoint.api_key else {}


def _brief(error: requests.RequestException) -> str:
    if isinstance(error, requests.Timeout):
        return "timed out"
    if isinstance(error, requests.ConnectionError):
        return "connection refused or lost"
    return type(error).__name__
