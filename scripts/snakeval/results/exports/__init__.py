"""Brings the results of a run into files of other tools and into trackers, one format at a time.

The table of formats is in `schemas/export.schema.yaml`, because a configuration names formats. There each format says
what writes it (`x-writer`; a tracker has `x-sender`), and which environment of `envs/` the writer needs
(`x-environment`).
"""

from pathlib import Path

from snakeval.config.reading.schema import Schema
from snakeval.config.reading.schema_files import Schemas
from snakeval.system.checkout import ENVS, SCHEMAS

TABLE = "schemas/export.schema.yaml"


def formats() -> dict[str, Schema]:
    """Return the table: name of a format or tracker -> what the schema says of it."""
    known = dict(Schemas(SCHEMAS).read("export").properties)
    return {**known.pop("formats").items.values, **known}


def is_tracker(name: str) -> bool:
    """Return whether results are sent somewhere; else they are written into files."""
    return bool(formats()[name].properties)


def export_lock(name: str) -> Path | None:
    """Return the lock of the environment that an export runs in, None when it needs none."""
    family = formats()[name].destination.environment
    return ENVS / f"{family}.lock" if family else None
