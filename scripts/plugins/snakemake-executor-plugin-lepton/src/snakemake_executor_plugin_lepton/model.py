"""What is known of jobs, endpoints and node groups, and how it is read from Lepton's JSON. Pure; no SDK."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Failure(StrEnum):
    """Why a call did not work, as far as the caller's reaction depends on it."""

    NOT_INSTALLED = "not installed"
    UNAUTHORIZED = "unauthorized"
    NOT_FOUND = "not found"
    REFUSED = "refused"
    UNAVAILABLE = "unavailable"


class LeptonError(Exception):
    """A call did not work; the text is Lepton's own answer, without headers."""

    def __init__(self, failure: Failure, message: str) -> None:
        self.failure = failure
        super().__init__(message)


@dataclass(frozen=True)
class Issue:
    """Why a replica is not ready: Lepton's own word for it and its message."""

    reason: str
    message: str

    def __str__(self) -> str:
        return f"{self.reason}: {self.message}" if self.message else self.reason


@dataclass(frozen=True)
class JobRow:
    """One job of a list; `state` is Lepton's own word, also one that this SDK does not know."""

    job_id: str
    name: str
    state: str


@dataclass(frozen=True)
class EndpointRow:
    """One endpoint.

    Attributes:
        name: Its name, which is also its id.
        state: Ready, Not Ready, Starting, ...
        phase: Tells Stopped from Not Ready; equal to `state` where the server says nothing.
        url: Base URL under which it is reached, None before it has one.
    """

    name: str
    state: str
    phase: str
    url: str | None


@dataclass(frozen=True)
class Termination:
    """One end of an endpoint's process, as the legacy API tells it."""

    exit_code: int
    reason: str
    message: str


@dataclass(frozen=True)
class NodeGroup:
    """A node group: specs want its id, users know its name; `volumes` are what mounts may name."""

    group_id: str
    name: str
    volumes: tuple[str, ...]


def job_row(item: Mapping[str, Any]) -> JobRow:
    """Return one item of the answer to GET /jobs."""
    metadata = item["metadata"]
    job_id = str(metadata.get("id") or metadata["name"])
    return JobRow(job_id, str(metadata.get("name") or job_id), str((item.get("status") or {}).get("state") or "UNK"))


def node_group(item: Mapping[str, Any]) -> NodeGroup:
    """Return one item of the answer to GET /dedicated-node-groups."""
    metadata = item["metadata"]
    volumes = (item.get("spec") or {}).get("volumes") or []
    named = tuple(f"node-{one['from']}:{one['name']}" for one in volumes)
    return NodeGroup(str(metadata.get("id") or metadata["name"]), str(metadata.get("name") or metadata["id"]), named)


def issue_of(replicas: Sequence[Mapping[str, Any]]) -> Issue | None:
    """Return the first reason why a replica is not ready; the SDK's own type of replicas drops it."""
    for replica in replicas:
        issue = (replica.get("status") or {}).get("readiness_issue")
        if issue and issue.get("reason") not in (None, "", "Ready"):
            return Issue(str(issue["reason"]), str(issue.get("message") or ""))
    return None


def failure_of(status: int) -> Failure:
    """Return what a 4xx status means for the caller."""
    if status == 404:
        return Failure.NOT_FOUND
    if status == 401:
        return Failure.UNAUTHORIZED
    # 408 and 429 ask to come back later.
    return Failure.UNAVAILABLE if status in (408, 429) else Failure.REFUSED


def words_of(response: Any) -> str:
    """Return status and message of an answer that is an error."""
    try:
        body = response.json()
    except ValueError:
        body = None
    if isinstance(body, dict):
        words = [str(body[key]) for key in ("code", "message", "error") if body.get(key)]
        return f"{response.status_code} {' '.join(words)}".strip()
    return f"{response.status_code} {response.text[:300]}".strip()


def endpoint_row(item: Any) -> EndpointRow:
    """Return an endpoint as the SDK has read it, which makes one form of both wire families."""
    status = item.status
    url = status.endpoint.external_endpoint if status and status.endpoint else None
    state = status.state.value if status and status.state else "UNK"
    phase = status.phase.value if status and status.phase else state
    return EndpointRow(str(item.metadata.name or item.metadata.id_), state, phase, url or None)
