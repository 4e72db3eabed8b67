"""The Snakemake that a job works for, seen from a process below it on the same machine."""

from pathlib import Path

import psutil

from snakeval.errors import EndpointError
from snakeval.system.processes import is_alive


def snakemake_process() -> tuple[int, float] | None:
    """Return the Snakemake that this process works for, as pid and start time; None when it has none above it."""
    for parent in psutil.Process().parents():
        try:
            if any("snakemake" in Path(word).name for word in parent.cmdline()[:3]):
                return parent.pid, parent.create_time()
        except psutil.Error:
            continue
    return None


def refuse_orphaned(snakemake: tuple[int, float] | None) -> None:
    """Raise EndpointError when the Snakemake that this process works for has ended; None is no Snakemake."""
    if snakemake is not None and not is_alive(*snakemake):
        raise EndpointError("Snakemake is gone")
