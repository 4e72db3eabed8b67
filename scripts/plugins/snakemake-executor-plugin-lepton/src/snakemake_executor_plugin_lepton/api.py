"""DGX Cloud Lepton as this project sees it: the only module that imports leptonai (0.47).

Answers are read as raw JSON where the SDK's types lose what matters (the reason why a replica is not ready, states that
this SDK does not know). No error that leaves this module holds a request or its headers, in which the token stands.
"""

import os
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from .model import (
    EndpointRow,
    Failure,
    Issue,
    JobRow,
    LeptonError,
    NodeGroup,
    Termination,
    endpoint_row,
    failure_of,
    issue_of,
    job_row,
    node_group,
    words_of,
)

PAGE_SIZE = 500
LOG_TIMEOUT_S = 5
LOG_LIMIT_BYTES = 1_000_000
T = TypeVar("T")


def is_installed() -> bool:
    """Return whether the SDK can be imported; looks, does not import."""
    from importlib.util import find_spec

    return find_spec("leptonai") is not None


def has_credentials() -> bool:
    """Return whether this process knows a workspace and a token, by its environment or by `lep login`."""
    try:
        _credentials()
    except LeptonError:
        return False
    return True


class Lepton:
    """One workspace. Safe to use from several threads.

    Raises:
        LeptonError: NOT_INSTALLED, or UNAUTHORIZED when no workspace or token is known.
    """

    def __init__(self) -> None:
        self._client: Any = None
        self._new_family: bool | None = None
        self.renew()

    def renew(self) -> None:
        """Read the credentials again: the environment's, else those of the record that `lep login` writes."""
        workspace, token = _credentials()
        from leptonai.api.v2.client import APIClient

        self._client = APIClient(workspace_id=workspace, auth_token=token)

    def workspace(self) -> dict[str, Any]:
        """Return what the workspace says of itself; the cheapest call that proves token and reachability."""
        return dict(self._read("/workspace"))

    def token_expires_at(self) -> float | None:
        """Return when the token ends (seconds since the epoch), None when the workspace does not say."""
        from leptonai.api.v2.utils import _get_token_expires_at

        client = self._client
        try:
            found = _get_token_expires_at(client.workspace_id, url=client.url, token=client.auth_token)
        except Exception:
            # Many workspaces do not show tokens to their owners; that is no finding.
            return None
        return found / 1000 if found else None

    def node_groups(self) -> list[NodeGroup]:
        """Return the node groups of the workspace."""
        return [node_group(item) for item in self._read("/dedicated-node-groups")]

    def shapes(self, group_id: str | None, purpose: str) -> set[str]:
        """Return the names of the resource shapes; `purpose` is "deployment" or "job"."""
        params = {"purpose": purpose} | ({"node_groups": group_id} if group_id else {})
        found = self._read("/shapes", params=params)
        return {str(part[key]) for item in found for part in item.values() for key in ("id", "name") if part.get(key)}

    def secret_names(self) -> set[str]:
        """Return the names of the secrets; their values can not be read."""
        return {str(item["name"]) for item in self._read("/usersecrets")}

    def create_secret(self, name: str, value: str) -> None:
        """Store a secret that only its owner sees."""
        from leptonai.api.v2.types.common import LeptonVisibility
        from leptonai.api.v2.types.secret import SecretItem

        item = SecretItem(name=name, value=value, visibility=LeptonVisibility.PRIVATE)
        self._call(lambda client: client.secret.create([item]))

    def delete_secret(self, name: str) -> None:
        """Delete a secret; fine when it is gone."""
        self._gone(lambda client: client.secret.delete(name))

    def create_job(self, name: str, labels: Mapping[str, str], spec: Mapping[str, Any]) -> str:
        """Create a job and return its id, which Lepton makes from the name."""
        from leptonai.api.v2.types.common import LeptonVisibility, Metadata
        from leptonai.api.v2.types.job import LeptonJob, LeptonJobUserSpec

        metadata = Metadata(id=name, name=name, labels=dict(labels), visibility=LeptonVisibility.PRIVATE)
        job = LeptonJob(metadata=metadata, spec=LeptonJobUserSpec(**spec))
        created = self._call(lambda client: client.job.create(job))
        return str(created.metadata.id_ or created.metadata.name)

    def jobs(self, prefix: str) -> list[JobRow]:
        """Return the living and the just ended jobs whose names begin with `prefix`; one request per 500 jobs."""
        rows: list[JobRow] = []
        page = 1
        while True:
            params = {"job_query_mode": "alive_only", "q": prefix, "page": page, "page_size": PAGE_SIZE}
            answer = self._read("/jobs", params=params)
            found = answer.get("jobs", []) if isinstance(answer, dict) else answer
            rows += [job_row(item) for item in found]
            if len(found) < PAGE_SIZE:
                return [row for row in rows if row.name.startswith(prefix) or row.job_id.startswith(prefix)]
            page += 1

    def job_issue(self, job_id: str) -> Issue | None:
        """Return why a job does not run yet, None when it says nothing."""
        return issue_of(self._read(f"/jobs/{job_id}/replicas", params={"job_query_mode": "alive_and_archive"}))

    def delete_job(self, job_id: str) -> None:
        """Delete a job, running or not; fine when it is gone."""
        self._gone(lambda client: client.job.delete(job_id))

    def job_log(self, job_id: str) -> str:
        """Return the output of an ended job, its last megabyte; "" when there is none."""
        return self._log(f"/jobs/{job_id}")

    def create_endpoint(self, name: str, labels: Mapping[str, str], spec: Mapping[str, Any]) -> None:
        """Create an endpoint. The newer API has no labels; there the name alone tells whose it is."""
        from leptonai.api.v2.types.common import LeptonVisibility, Metadata
        from leptonai.api.v2.types.deployment import LeptonDeployment, LeptonDeploymentUserSpec

        own_labels = None if self._is_new() else dict(labels)
        metadata = Metadata(id=name, name=name, labels=own_labels, visibility=LeptonVisibility.PRIVATE)
        endpoint = LeptonDeployment(metadata=metadata, spec=LeptonDeploymentUserSpec(**spec))
        self._call(lambda client: client.deployment.create(endpoint), pinned=True)

    def endpoint(self, name: str) -> EndpointRow:
        """Return an endpoint; LeptonError NOT_FOUND when it is gone."""
        return endpoint_row(self._call(lambda client: client.deployment.get(name), pinned=True))

    def endpoints(self) -> list[EndpointRow]:
        """Return every endpoint of the workspace."""
        found = self._call(lambda client: client.deployment.list_all(), pinned=True)
        return [endpoint_row(item) for item in found]

    def wake_endpoint(self, name: str, replicas: int) -> None:
        """Have `replicas` replicas of an endpoint that was scaled to zero; requests alone do not wake it."""
        from leptonai.api.v2.types.deployment import LeptonDeployment, LeptonDeploymentUserSpec

        patch = LeptonDeployment(spec=LeptonDeploymentUserSpec(resource_requirement={"min_replicas": replicas}))
        self._call(lambda client: client.deployment.update(name, patch), pinned=True)

    def stop_endpoint(self, name: str) -> None:
        """Scale an endpoint to zero, keeping its definition; fine when it is gone."""
        self._gone(lambda client: client.deployment.stop(name), pinned=True)

    def delete_endpoint(self, name: str) -> None:
        """Delete an endpoint; fine when it is gone."""
        self._gone(lambda client: client.deployment.delete(name), pinned=True)

    def endpoint_issue(self, name: str) -> Issue | None:
        """Return why an endpoint is not ready: what a replica says, else (legacy) the endpoint's readiness."""
        found = issue_of(self._read(f"{self._family()}/{name}/replicas"))
        if found is not None or self._is_new():
            return found
        readiness = self._read(f"/deployments/{name}/readiness")
        return issue_of([{"status": {"readiness_issue": one}} for many in readiness.values() for one in many])

    def endpoint_terminations(self, name: str) -> list[Termination]:
        """Return how often the endpoint's process has ended; empty on the newer API, which does not tell."""
        if self._is_new():
            return []
        found = self._read(f"/deployments/{name}/termination")
        return [
            Termination(one.get("exit_code", -1), one.get("reason", ""), one.get("message", ""))
            for many in found.values()
            for one in many
        ]

    def endpoint_log(self, name: str) -> str:
        """Return the output of an endpoint so far, its last megabyte; "" when there is none."""
        return self._log(f"{self._family()}/{name}")

    def _family(self) -> str:
        return "/endpoints" if self._is_new() else "/deployments"

    def _is_new(self) -> bool:
        """Return which API the workspace speaks. The SDK would take a workspace that does not answer for an old one."""
        if self._new_family is None:
            features = self.workspace().get("features") or {}
            self._new_family = features.get("enable_new_deployment_api") is True
        return self._new_family

    def _log(self, workload: str) -> str:
        parts: list[bytes] = []
        for replica in self._read(f"{workload}/replicas"):
            response = self._call(
                lambda client, replica=replica: client._get(  # type: ignore[misc]
                    f"{workload}/replicas/{replica['metadata']['id']}/log", stream=True, timeout=LOG_TIMEOUT_S
                )
            )
            if response.ok:
                parts.append(b"".join(_until_silent(response.iter_content(chunk_size=None))))
        return b"".join(parts)[-LOG_LIMIT_BYTES:].decode("utf-8", errors="replace")

    def _read(self, path: str, params: Mapping[str, Any] | None = None) -> Any:
        def read(client: Any) -> Any:
            response = client._get(path, params=params)
            client.job._raise_if_not_ok(response)
            return response.json()

        return self._call(read)

    def _gone(self, call: Callable[[Any], Any], pinned: bool = False) -> None:
        try:
            self._call(call, pinned)
        except LeptonError as error:
            if error.failure is not Failure.NOT_FOUND:
                raise

    def _call(self, call: Callable[[Any], T], pinned: bool = False) -> T:
        """Call the SDK; `pinned` fixes the wire family of endpoints before."""
        import requests
        from leptonai.api.v2.api_resource import ClientError, ServerError

        client = self._client
        if pinned:
            client.deployment = client._endpoint_api if self._is_new() else client._deployment_legacy
        try:
            return call(client)
        except ClientError as error:
            raise LeptonError(failure_of(error.response.status_code), words_of(error.response)) from None
        except ServerError as error:
            raise LeptonError(Failure.UNAVAILABLE, words_of(error.response)) from None
        except requests.RequestException as error:
            raise LeptonError(Failure.UNAVAILABLE, f"Lepton does not answer ({type(error).__name__})") from None
        except ValueError as error:
            # pydantic's own text repeats the input.
            told = [f"{part['loc']}: {part['msg']}" for part in error.errors()] if hasattr(error, "errors") else [error]
            raise LeptonError(Failure.REFUSED, "; ".join(map(str, told))) from None


def _credentials() -> tuple[str, str]:
    """Return workspace and token; the SDK's own search dies without a message when there is no token."""
    if not is_installed():
        hint = "make setup-lepton installs it here; elsewhere pip install 'leptonai>=0.47,<0.48'"
        raise LeptonError(Failure.NOT_INSTALLED, f"the Lepton SDK is not installed where Snakemake runs; {hint}")
    workspace = os.environ.get("LEPTON_WORKSPACE_ID", "")
    workspace, _, token = workspace.partition(":")
    token = token or os.environ.get("LEPTON_WORKSPACE_TOKEN", "")
    if not (workspace and token) and _record_file().exists():
        from leptonai.api.v2.workspace_record import WorkspaceRecord

        WorkspaceRecord.reload()
        record = WorkspaceRecord.get(workspace) if workspace else WorkspaceRecord.current()
        workspace = workspace or (record.id_ if record and record.id_ else "")
        token = token or (record.auth_token if record and record.auth_token else "")
    if not (workspace and token):
        hint = "set LEPTON_WORKSPACE_ID and LEPTON_WORKSPACE_TOKEN, or run `lep login`"
        raise LeptonError(Failure.UNAUTHORIZED, f"no Lepton workspace or no token is known here; {hint}")
    return workspace, token


def _record_file() -> Path:
    """Return where `lep login` keeps its record, as the SDK would, without the second that importing it takes."""
    return Path(os.environ.get("LEPTON_CACHE_DIR", Path.home() / ".cache" / "lepton")) / "workspace_info.yaml"


def _until_silent(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Yield what a log stream holds; it follows a living workload, so it ends when nothing comes any more."""
    import requests

    deadline = time.monotonic() + LOG_TIMEOUT_S
    try:
        for chunk in chunks:
            yield chunk
            if time.monotonic() > deadline:
                return
    except requests.RequestException:
        return
