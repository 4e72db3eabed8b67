"""What a job has printed: kept under .snakemake, and in the rule's own log where nothing else stands there."""

import contextlib
from pathlib import Path
from typing import Any

from .api import Lepton
from .model import LeptonError
from .states import Watched

FOLDER = Path(".snakemake") / "lepton-logs"
TAIL_LINES = 100


def save_log(lepton: Lepton, job: Any, watched: Watched, failure: str | None, workdir: Path) -> Path | None:
    """Fetch and keep the output of an ended job.

    Args:
        lepton: The workspace.
        job: Snakemake's job, whose first `log:` is filled when it is missing or empty, and gets the end of the output
            when the job has failed.
        watched: The Lepton job.
        failure: Why it has failed, None when it has not.
        workdir: Working directory of Snakemake.

    Returns:
        The file with the whole output; None when there is none.
    """
    try:
        text = lepton.job_log(watched.job_id)
    except LeptonError as error:
        text = "" if failure is None else f"(no output: {error})\n"
    rule_log = next((workdir / str(file) for file in job.log), None)
    if rule_log is not None:
        # It may lie in a storage that this machine does not see.
        with contextlib.suppress(OSError):
            _into_rule_log(rule_log, text, failure)
    if not text:
        return None
    path = workdir / FOLDER / f"{watched.job_id}.log"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def _into_rule_log(log: Path, text: str, failure: str | None) -> None:
    empty = not log.exists() or log.stat().st_size == 0
    if failure is None and not (empty and text):
        return
    tail = text if empty else "\n".join(text.splitlines()[-TAIL_LINES:])
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("a", encoding="utf-8") as stream:
        if failure is not None:
            stream.write(f"--- {failure}; its output:\n")
        stream.write(tail if tail.endswith("\n") else f"{tail}\n")
