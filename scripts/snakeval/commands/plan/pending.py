"""Which tasks Snakemake would run: it is asked, because nobody else knows."""

import subprocess
import sys
from collections.abc import Sequence

from snakeval.config.model import Config
from snakeval.errors import SnakevalError
from snakeval.run.paths import RunPaths
from snakeval.system.checkout import ROOT

TIMEOUT_S = 600
PENDING = "update pending"


def pending_tasks(config: Config, snakemake_arguments: Sequence[str]) -> frozenset[tuple[str, str]]:
    """Return names of deployment and task of every evaluation in the plan of Snakemake; starts and writes nothing.

    Raises:
        SnakevalError: Snakemake could not make a plan; its own words are in the message.
    """
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile"), "--cores", "1"]
    command += ["--summary", *snakemake_arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    if done.returncode != 0:
        raise SnakevalError(f"Snakemake could not make a plan:\n{done.stderr.strip()[-2000:]}")
    pending = parse_summary(done.stdout)
    paths = RunPaths(config.folder)
    return frozenset(
        (deployment.name, task.name)
        for deployment in config.deployments
        for task in config.tasks
        if str(paths.task(deployment.name, task.name).result) in pending
    )


def parse_summary(text: str) -> set[str]:
    """Return the files that `snakemake --summary` calls pending (columns: file, date, rule, logs, status, plan)."""
    rows = [line.split("\t") for line in text.splitlines()]
    return {row[0] for row in rows if len(row) >= 6 and row[-1] == PENDING}
