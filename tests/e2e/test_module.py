"""Another workflow takes Snakeval in as a module, in a folder that has nothing of Snakeval."""

import subprocess
import sys
from pathlib import Path

from workspace import REPOSITORY, RUN_TIMEOUT_S, Finished, Workspace

OTHER = """
module snakeval:
    snakefile: "{snakefile}"
    config: config


use rule * from snakeval


rule paper:
    input:
        "results/test/summary.csv",
    output:
        "paper.txt",
    shell:
        "cp {{input}} {{output}}"
"""


def _plan(workspace: Workspace, *arguments: str) -> Finished:
    """Return what Snakemake plans in the other workflow's folder."""
    command = [sys.executable, "-m", "snakemake", "--cores", "1", "--dry-run", *arguments]
    done = subprocess.run(
        command,
        cwd=workspace.folder,
        env=workspace.environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=RUN_TIMEOUT_S,
        check=False,
    )
    return Finished(done.returncode, done.stdout)


def test_another_workflow_plans_with_snakevals_rules(workspace: Workspace) -> None:
    snakefile = OTHER.format(snakefile=REPOSITORY / "Snakefile")
    (workspace.folder / "Snakefile").write_text(snakefile, encoding="utf-8")
    task = {"name": "sums", "command": ["true"]}
    config = workspace.configure(
        {
            "deployment": {"type": "generic", "name": "tiny", "command": ["server"], "served_model_name": "tiny"},
            "evaluation": {"tasks": [task]},
        }
    )
    evaluation = {"deploy": 1, "ready": 1, "evaluate": 1, "aggregate": 1}

    whole = _plan(workspace, "--configfile", config.name)
    assert whole.returncode == 0, whole.output
    assert whole.plan == {**evaluation, "teardown": 1, "report": 1, "all": 1}

    paper = _plan(workspace, "paper", "--configfile", config.name)
    assert paper.returncode == 0, paper.output
    assert paper.plan == {**evaluation, "paper": 1}

    created = {path.name for path in Path(workspace.folder).iterdir()}
    assert created == {".snakemake", "Snakefile", config.name}
