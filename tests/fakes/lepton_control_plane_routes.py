"""The routes of the stand-in control plane, as functions from a request to the JSON of its answer."""

import random
import string
import threading
import time
from collections.abc import Callable
from copy import deepcopy
from typing import TYPE_CHECKING, Any

from fakes.lepton_control_plane_workloads import Endpoint, Job, Json, Refused

if TYPE_CHECKING:
    from fakes.lepton_control_plane import ControlPlane

PREDEFINED = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8", "HOME": "/tmp"}
COMPONENT_KEYS = ("envs", "mounts", "queue_config", "health")
Answer = Json | list[Any] | str


def answer(plane: "ControlPlane", method: str, path: str, query: dict[str, str], body: Any) -> Answer:
    """Return the answer to a request, or raise `Refused`."""
    head, *rest = path.strip("/").split("/")
    if head in ("deployments", "endpoints"):
        if (head == "endpoints") is not plane.new_family:
            raise Refused(
                404 if head == "endpoints" else 400, "WrongFamily", f"{head} is not what this workspace speaks"
            )
        return _endpoint(plane, method, rest, body)
    if head == "jobs":
        return _job(plane, method, rest, query, body)
    if head == "usersecrets":
        return _secret(plane, method, rest, body)
    if head == "logs":
        return _logs(plane, query)
    simple: dict[str, Callable[[Any], Any]] = {
        "workspace": _workspace,
        "tokens": _tokens,
        "dedicated-node-groups": _node_groups,
        "shapes": _shapes,
    }
    if method == "GET" and head in simple and not rest:
        found: dict[str, Any] | list[Any] | str = simple[head](plane)
        return found
    raise Refused(404, "NotFound", f"{method} {path}")


def _workspace(plane: "ControlPlane") -> Json:
    total = {"cpu": 1000.0, "memory": 1000000, "accelerator_num": 64.0}
    return {
        "build_time": "2026-01-01T00:00:00Z",
        "git_commit": "1.0.0",
        "workspace_name": "testws",
        "workspace_tier": "enterprise",
        "workspace_state": "normal",
        "supported_shapes": {},
        "workspace_disk_usage_bytes": 0,
        "workloads": {
            "num_deployments": len(plane.endpoints),
            "num_jobs": len(plane.jobs),
            "num_pods": 0,
            "num_secrets": len(plane.secrets),
            "num_image_pull_secrets": 0,
        },
        "resource_quota": {"limit": total, "used": total},
        "features": {"enable_new_deployment_api": plane.new_family},
    }


def _tokens(plane: "ControlPlane") -> list[Any]:
    masked = f"{plane.token[:4]}...{plane.token[-4:]}"
    return [{"masked_value": masked, "expires_at": int((time.time() + plane.expires_in_s) * 1000)}]


def _node_groups(plane: "ControlPlane") -> list[Any]:
    volume = {"from": "nfs", "name": "shared", "size_in_gb": 100}
    return [
        {"metadata": {"id": group, "name": name}, "spec": {"volumes": [volume]}, "status": {"ready_nodes": 4}}
        for name, group in plane.node_groups.items()
    ]


def _shapes(plane: "ControlPlane") -> list[Any]:
    return [{"metadata": {"id": name, "name": name}, "spec": {"name": name, "cpu": 4.0}} for name in plane.shapes]


def _secret(plane: "ControlPlane", method: str, rest: list[str], body: Any) -> Answer:
    if method == "GET":
        return [{"name": name} for name in plane.secrets]
    if method == "POST":
        for item in body:
            if item["name"] in plane.secrets:
                raise Refused(409, "AlreadyExists", f"secret {item['name']} exists")
            plane.secrets[item["name"]] = item["value"]
        return {}
    if plane.secrets.pop(rest[0], None) is None:
        raise Refused(404, "NotFound", f"no secret {rest[0]}")
    return {}


def _environment(plane: "ControlPlane", spec: Json, name: str) -> dict[str, str]:
    environment = {**PREDEFINED, "LEPTON_WORKSPACE_ID": "testws", "LEPTON_JOB_NAME": name, "LEPTON_WORKER_ID": "0"}
    for entry in spec.get("envs") or []:
        reference = (entry.get("value_from") or {}).get("secret_name_ref")
        if reference is not None and reference not in plane.secrets:
            raise Refused(400, "InvalidArgument", f"secret {reference} does not exist")
        environment[entry["name"]] = plane.secrets[reference] if reference is not None else entry.get("value", "")
    return environment


def _checked(plane: "ControlPlane", shape: str | None, affinity: Json | None) -> None:
    if (shape or "").endswith(".quota"):
        raise Refused(400, "QuotaExceeded", f"quota of {shape} is used up")
    if shape not in plane.shapes:
        raise Refused(400, "InvalidArgument", f"resource shape {shape} does not exist")
    for group in (affinity or {}).get("allowed_dedicated_node_groups") or []:
        if group not in plane.node_groups.values():
            raise Refused(400, "InvalidArgument", f"node group {group} does not exist")


def _job(plane: "ControlPlane", method: str, rest: list[str], query: dict[str, str], body: Any) -> Answer:
    if not rest:
        return _create_job(plane, body) if method == "POST" else _list_jobs(plane, query)
    job = plane.jobs.get(rest[0])
    if job is None or job.forgotten:
        raise Refused(404, "NotFound", f"no job {rest[0]}")
    if rest[1:] == ["replicas"]:
        return job.replicas()
    if rest[1:] == ["events"]:
        return []
    if rest[-1] == "log":
        return job.log.read_text(errors="replace")
    if method == "DELETE":
        plane.jobs.pop(rest[0], None)
        threading.Thread(target=job.stop, daemon=True).start()
        return {}
    if method == "PATCH" and (body.get("spec") or {}).get("stopped"):
        job.stop()
    return _job_json(job)


def _create_job(plane: "ControlPlane", body: Json) -> Json:
    spec, metadata = body["spec"], body["metadata"]
    _checked(plane, spec.get("resource_shape"), spec.get("affinity"))
    suffix = "".join(random.choices(string.ascii_lowercase + string.digits, k=4))
    name = metadata.get("name") or metadata["id"]
    job = Job(name, spec, _environment(plane, spec, name), job_id=f"{name}-{suffix}")
    job.labels = metadata.get("labels") or {}
    plane.jobs[job.job_id] = job
    threading.Thread(target=job.run, daemon=True).start()
    return _job_json(job)


def _list_jobs(plane: "ControlPlane", query: dict[str, str]) -> Json:
    found = [job for job in list(plane.jobs.values()) if not job.forgotten and query.get("q", "") in job.name]
    if "query" in query:
        wanted = dict(part.split("=", 1) for part in query["query"].split(","))
        found = [job for job in found if all(job.labels.get(name) == value for name, value in wanted.items())]
    size = int(query.get("page_size", 500))
    first = (int(query.get("page", 1)) - 1) * size
    return {"jobs": [_job_json(job) for job in found[first : first + size]], "total": len(found)}


def _job_json(job: Job) -> Json:
    return {
        "metadata": {
            "id": job.job_id,
            "name": job.name,
            "labels": job.labels,
            "created_at": job.created_at,
            "visibility": "private",
        },
        "spec": job.spec,
        "status": {"job_name": job.job_id, "state": job.state, "creation_time": job.created_at, "job_history": []},
    }


def _endpoint(plane: "ControlPlane", method: str, rest: list[str], body: Any) -> Answer:
    if not rest:
        if method == "POST":
            return _endpoint_json(plane, _create_endpoint(plane, body))
        return [_endpoint_json(plane, one) for one in list(plane.endpoints.values())]
    endpoint = plane.endpoints.get(rest[0])
    if endpoint is None:
        raise Refused(404, "NotFound", f"no endpoint {rest[0]}")
    if len(rest) > 1:
        return _endpoint_part(plane, endpoint, rest)
    if method == "DELETE":
        plane.endpoints.pop(rest[0], None)
        threading.Thread(target=endpoint.close, daemon=True).start()
        return {}
    if method == "PATCH":
        _merge(endpoint.spec, _canonical(body["spec"]) if plane.new_family else body["spec"])
    return _endpoint_json(plane, endpoint)


def _endpoint_part(plane: "ControlPlane", endpoint: Endpoint, rest: list[str]) -> Answer:
    part = rest[-1]
    if part == "replicas":
        return endpoint.replicas()
    if part == "log":
        return endpoint.log.read_text(errors="replace")
    if part == "events":
        return []
    if part == "readiness" and not plane.new_family:
        return {one["id"]: [one["status"]["readiness_issue"]] for one in endpoint.replicas() if one["status"]}
    if part == "termination" and not plane.new_family:
        return {f"{endpoint.name}-0": endpoint.terminations} if endpoint.terminations else {}
    raise Refused(404, "NotFound", "/".join(rest))


def _create_endpoint(plane: "ControlPlane", body: Json) -> Endpoint:
    spec = _canonical(body["spec"]) if plane.new_family else deepcopy(body["spec"])
    metadata = body["metadata"]
    name = metadata.get("name") or metadata["id"]
    if name in plane.endpoints:
        raise Refused(409, "AlreadyExists", f"endpoint {name} exists")
    needed = spec["resource_requirement"]
    _checked(plane, needed.get("resource_shape"), needed.get("affinity"))
    tokens = []
    for entry in spec.get("api_tokens") or []:
        reference = (entry.get("value_from") or {}).get("token_name_ref")
        if reference is not None and reference not in plane.secrets:
            raise Refused(400, "InvalidArgument", f"secret {reference} does not exist")
        tokens.append(plane.secrets[reference] if reference is not None else entry["value"])
    visibility = metadata.get("visibility") or metadata.get("lepton_metadata", {}).get("visibility", "public")
    endpoint = Endpoint(name, spec, _environment(plane, spec, name), tokens=tokens, visibility=visibility)
    endpoint.labels = metadata.get("labels") or {}
    endpoint.open()
    plane.endpoints[name] = endpoint
    threading.Thread(target=endpoint.run, daemon=True).start()
    return endpoint


def _canonical(spec: Json) -> Json:
    """Return a spec of the newer family, whose one component holds most of it, in the shape of the older one."""
    component = spec["components"][0]
    needed = ("resource_shape", "min_replicas", "max_replicas", "shared_memory_size", "affinity")
    container = {key: component[key] for key in ("image", "command", "ports") if key in component}
    found = {key: component[key] for key in COMPONENT_KEYS if key in component}
    found |= {key: value for key, value in spec.items() if key != "components"}
    if "autoscaling" in component:
        found["auto_scaler"] = component["autoscaling"]
    found["resource_requirement"] = {key: component[key] for key in needed if key in component}
    return found | {"container": container}


def _endpoint_json(plane: "ControlPlane", endpoint: Endpoint) -> Json:
    assert endpoint.proxy is not None
    phase, spec = endpoint.state, endpoint.spec
    if not plane.new_family:
        status = {
            "state": "Not Ready" if phase == "Stopped" else phase,
            "phase": phase,
            "endpoint": {"internal_endpoint": "", "external_endpoint": endpoint.proxy.url},
        }
        metadata = {"id": endpoint.name, "name": endpoint.name, "visibility": endpoint.visibility}
        return {"metadata": metadata | {"labels": endpoint.labels}, "spec": spec, "status": status}
    component = {"name": "default", "frontend": True, **spec["container"], **spec["resource_requirement"]}
    component |= {key: spec[key] for key in COMPONENT_KEYS if key in spec}
    component["autoscaling"] = spec.get("auto_scaler") or {}
    shared = ("api_tokens", "log", "image_pull_secrets")
    return {
        "metadata": {"name": endpoint.name, "lepton_metadata": {"visibility": endpoint.visibility}},
        "spec": {"components": [component], **{key: spec[key] for key in shared if key in spec}},
        "status": {"state": phase, "external_url": endpoint.proxy.url},
    }


def _merge(base: Json, patch: Json) -> None:
    for key, value in patch.items():
        if isinstance(value, dict) and isinstance(base.get(key), dict):
            _merge(base[key], value)
        else:
            base[key] = value


def _logs(plane: "ControlPlane", query: dict[str, str]) -> Json:
    """Answer GET /logs as Loki does: [nanoseconds, line], within [start, end), newest first unless told otherwise."""
    workload = plane.jobs.get(query.get("job", "")) or plane.endpoints.get(
        query.get("endpoint", query.get("deployment", ""))
    )
    lines = workload.log.read_text(errors="replace").splitlines() if workload else []
    first = workload.created_at * 10**9 if workload else 0
    stamped = [[str(first + number), line] for number, line in enumerate(lines, start=1)]
    start, end = int(query.get("start", 0)), int(query.get("end", 2**63))
    found = [entry for entry in stamped if start <= int(entry[0]) < end]
    if query.get("direction", "backward") == "backward":
        found.reverse()
    return {"data": {"result": [{"stream": {}, "values": found[: int(query.get("limit", 5000))]}]}}
