"""Sends results to an MLflow tracking server, one run per deployment and task; a run that is there is updated."""

import time
from collections.abc import Mapping
from contextlib import suppress

from mlflow import MlflowClient
from mlflow.entities import Metric, Param, Run, RunTag
from mlflow.exceptions import MlflowException

from .request import Entry, MlflowRequest, MlflowSettings, Sent

_PARAMS_PER_CALL = 100
_METRICS_PER_CALL = 800


def export(request: MlflowRequest) -> list[Sent]:
    """Create or update the run of every entry; safe to call again, also after it failed in the middle."""
    client = MlflowClient(request["settings"]["tracking_uri"])
    experiment = _experiment(client, request["settings"]["experiment_name"])
    return [_send(client, experiment, entry, request["settings"]) for entry in request["entries"]]


def _experiment(client: MlflowClient, name: str) -> str:
    found = client.get_experiment_by_name(name)
    if found is None:
        try:
            return str(client.create_experiment(name))
        except MlflowException:
            # Another export may have been faster.
            found = client.get_experiment_by_name(name)
            if found is None:
                raise
    if found.lifecycle_stage != "active":
        raise RuntimeError(f"the experiment {name} is deleted on the server; restore it or set another experiment_name")
    return str(found.experiment_id)


def _send(client: MlflowClient, experiment: str, entry: Entry, settings: MlflowSettings) -> Sent:
    run = _find(client, experiment, entry["tags"])
    action = "updated" if run else "created"
    if run is None:
        tags = {name: entry["tags"][name] for name in ("snakeval.run", "snakeval.fingerprint")}
        run = client.create_run(experiment, start_time=entry["started_at_ms"], tags=tags, run_name=entry["name"])
    run_id = run.info.run_id
    try:
        _fill(client, run, entry)
        for file in entry["artifacts"]:
            client.log_artifact(run_id, file)
    except Exception:
        with suppress(MlflowException):
            client.set_terminated(run_id, "FAILED")
        raise
    client.set_terminated(run_id, "FINISHED", end_time=entry["ended_at_ms"])
    url = f"{settings['tracking_uri'].rstrip('/')}/#/experiments/{experiment}/runs/{run_id}"
    return {"deployment": entry["deployment"], "task": entry["task"], "id": run_id, "url": url, "action": action}


def _find(client: MlflowClient, experiment: str, tags: Mapping[str, str]) -> Run | None:
    wanted = " and ".join(f"tags.`{name}` = '{tags[name]}'" for name in ("snakeval.run", "snakeval.fingerprint"))
    found = client.search_runs([experiment], wanted, max_results=1, order_by=["attributes.start_time ASC"])
    return found[0] if found else None


def _fill(client: MlflowClient, run: Run, entry: Entry) -> None:
    """Write what differs: parameters cannot be changed, and equal metrics would only lengthen their history."""
    run_id, now = run.info.run_id, int(time.time() * 1000)
    tags = [RunTag(name, value) for name, value in {**entry["tags"], "mlflow.runName": entry["name"]}.items()]
    client.log_batch(run_id, tags=tags)
    params = [Param(name, value) for name, value in entry["params"].items() if name not in run.data.params]
    for begin in range(0, len(params), _PARAMS_PER_CALL):
        client.log_batch(run_id, params=params[begin : begin + _PARAMS_PER_CALL])
    known = run.data.metrics
    metrics = [Metric(name, value, now, 0) for name, value in entry["metrics"].items() if known.get(name) != value]
    for begin in range(0, len(metrics), _METRICS_PER_CALL):
        client.log_batch(run_id, metrics=metrics[begin : begin + _METRICS_PER_CALL])
