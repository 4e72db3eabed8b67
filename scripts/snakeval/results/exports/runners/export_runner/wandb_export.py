"""Sends results to Weights & Biases, or writes them for `wandb sync`: one run per deployment and task, a stable one."""

import wandb

from .request import Entry, Sent, WandbRequest, WandbSettings


def export(request: WandbRequest) -> list[Sent]:
    """Create or update the run of every entry; ids are stable, so that a second export resumes the first one's runs."""
    settings = request["settings"]
    # What is measured is in the results; the machine that exports them is nobody's business.
    address = {"base_url": settings["base_url"]} if settings["base_url"] else {}
    quiet = wandb.Settings(
        **address,
        console="off",
        disable_code=True,
        disable_git=True,
        save_code=False,
        x_disable_meta=True,
        x_disable_stats=True,
        x_disable_machine_info=True,
    )
    return [_send(entry, settings, request["folder"], quiet) for entry in request["entries"]]


def _send(entry: Entry, settings: WandbSettings, folder: str, quiet: wandb.Settings) -> Sent:
    with wandb.init(
        entity=settings["entity"],
        project=settings["project"],
        id=entry["tags"]["snakeval.fingerprint"],
        resume="allow",
        name=entry["name"],
        group=settings["group"],
        job_type=settings["job_type"],
        notes=settings["description"],
        tags=settings["tags"] or None,
        config={**entry["params"], **entry["tags"]},
        dir=folder,
        mode=settings["mode"],
        settings=quiet,
    ) as run:
        if not run.resumed:
            run.log(entry["metrics"])
        run.summary.update(entry["metrics"])
        if entry["artifacts"]:
            artifact = wandb.Artifact(entry["artifact_name"], type="evaluation")
            for file in entry["artifacts"]:
                artifact.add_file(file)
            run.log_artifact(artifact)
        offline = settings["mode"] == "offline"
        action = "written" if offline else "updated" if run.resumed else "created"
        url = None if offline else run.url
        return {"deployment": entry["deployment"], "task": entry["task"], "id": run.id, "url": url, "action": action}
