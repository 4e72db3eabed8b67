"""From a Snakemake job to a Lepton job: its name, its command, its specification. Nothing here talks to Lepton."""

import hashlib
import re
import secrets
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PREFIX = "smk-"
NAME_LENGTH = 36
KILL_AFTER_S = 60
TTL_S = 3 * 86400
ID_FILE = "lepton-id"


@dataclass(frozen=True)
class Mount:
    """A part of a volume and where jobs see it."""

    path: str
    mount_path: str
    volume: str

    @classmethod
    def parse(cls, text: str) -> "Mount":
        """Read PATH:MOUNT_PATH:VOLUME; raises ValueError for anything else."""
        parts = text.split(":", 2)
        if len(parts) != 3 or not all(parts) or not parts[1].startswith("/"):
            raise ValueError(f"{text!r} is not of the form PATH:MOUNT_PATH:VOLUME, e.g. /:/workspace:node-nfs:shared")
        return cls(*parts)

    def spec(self) -> dict[str, Any]:
        """Return it as Lepton wants it."""
        return {"path": self.path, "from": self.volume, "mount_path": self.mount_path}


def assignments(entries: Sequence[str], lone: bool) -> dict[str, str]:
    """Read NAME=VALUE entries; where `lone` names are allowed, NAME alone stands for NAME=NAME.

    Raises:
        ValueError: an entry of another form.
    """
    found = {}
    for entry in entries:
        name, separator, value = entry.partition("=")
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name) or not (separator or lone):
            raise ValueError(f"{entry.partition('=')[0]!r} is not the beginning of NAME=VALUE")
        found[name] = value if separator else name
    return found


def workdir_prefix(workdir: Path, state_dir: Path) -> str:
    """Return how the names of all jobs of this working directory begin.

    The path alone would be the same for two users whose volumes are mounted at the same place, so a random number that
    is kept beside Snakemake's own state is in it too.
    """
    file = state_dir / ID_FILE
    try:
        state_dir.mkdir(parents=True, exist_ok=True)
        with file.open("x", encoding="utf-8") as stream:
            stream.write(secrets.token_hex(8))
    except FileExistsError:
        pass
    identity = f"{workdir}\0{file.read_text(encoding='utf-8')}"
    return f"{PREFIX}{hashlib.sha256(identity.encode()).hexdigest()[:8]}-"


def job_name(prefix: str, rule: str, identity: Mapping[str, Any]) -> str:
    """Return a name that is the same for the same work in the same place, and another one for any other work."""
    digest = hashlib.sha256(repr(sorted(identity.items())).encode()).hexdigest()[:10]
    slug = re.sub(r"[^a-z0-9]+", "-", rule.lower()).strip("-")
    name = f"{prefix}{digest}-{slug}"[:NAME_LENGTH].strip("-")
    return name.removesuffix("by-lepton").strip("-")


def identity_of(job: Any) -> dict[str, Any]:
    """Return what makes a job the same job after a restart: outputs, code, parameters, container."""
    parts = list(job.jobs) if job.is_group() else [job]
    return {
        "outputs": sorted(str(file) for file in job.output),
        "rules": sorted(part.rule.name for part in parts),
        "code": sorted(_code(part) for part in parts),
        "params": sorted(repr(sorted(part.params.items(), key=str)) + repr(list(part.params)) for part in parts),
        "container": sorted(str(part.container_img_url) for part in parts),
    }


def _code(job: Any) -> str:
    rule = job.rule
    if rule.shellcmd is not None:
        return str(rule.shellcmd)
    script = rule.script or rule.notebook
    if script is not None:
        file = rule.basedir.join(job.format_wildcards(str(script))).get_path_or_uri(secret_free=True)
        return Path(file).read_text(encoding="utf-8") if Path(file).is_file() else str(file)
    return str(rule.wrapper or rule.run_func_src)


def image_of(job: Any, default: str | None) -> str | None:
    """Return the image that a job runs in: its rule's container, else the default."""
    parts = list(job.jobs) if job.is_group() else [job]
    images = [str(part.container_img_url) for part in parts if part.container_img_url]
    image = images[0] if images else default
    return image.removeprefix("docker://") if image else None


def command_of(exec_job: str, workdir: Path | None, runtime_min: int | None) -> list[str]:
    """Return the container's command.

    Args:
        exec_job: The call of Snakemake, a line of shell.
        workdir: Where it runs; None for a fresh folder, where there is no shared volume.
        runtime_min: Minutes after which it is ended; Lepton has no time limit of its own.
    """
    place = f"cd {shlex.quote(str(workdir))}" if workdir else 'cd "$(mktemp -d)"'
    limit = f"timeout -k {KILL_AFTER_S} {60 * runtime_min} " if runtime_min else ""
    return ["/bin/bash", "-c", f"{place} && exec {limit}/bin/bash -c {shlex.quote(exec_job)}"]


@dataclass(frozen=True)
class JobSpec:
    """Everything that Lepton is told of a job, secrets by name alone."""

    image: str
    command: Sequence[str]
    resource_shape: str
    group_id: str | None
    mounts: Sequence[Mount]
    secrets: Mapping[str, str]
    env: Mapping[str, str]
    image_pull_secrets: Sequence[str]
    shared_memory_mb: int | None
    priority_class: str | None

    def spec(self) -> dict[str, Any]:
        """Return it as Lepton wants it; retries are left to Snakemake."""
        spec: dict[str, Any] = {
            "resource_shape": self.resource_shape,
            "container": {"image": self.image, "command": list(self.command)},
            "completions": 1,
            "parallelism": 1,
            "max_failure_retry": 0,
            "max_job_failure_retry": 0,
            "envs": [{"name": name, "value_from": {"secret_name_ref": ref}} for name, ref in self.secrets.items()]
            + [{"name": name, "value": value} for name, value in self.env.items()],
            "mounts": [mount.spec() for mount in self.mounts],
            "image_pull_secrets": list(self.image_pull_secrets),
            "ttl_seconds_after_finished": TTL_S,
            "log": {"enable_collection": True, "save_termination_logs": True},
        }
        if self.group_id:
            spec["affinity"] = {"allowed_dedicated_node_groups": [self.group_id]}
        if self.shared_memory_mb:
            spec["shared_memory_size"] = self.shared_memory_mb
        if self.priority_class:
            spec["queue_config"] = {"priority_class": self.priority_class}
        return spec
