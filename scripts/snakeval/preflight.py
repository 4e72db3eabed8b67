"""What can be checked of a deployment before anything is started."""

from pathlib import Path

from snakeval.config.model import Deployment
from snakeval.errors import DeploymentError, Problem


def check_deployment(deployment: Deployment) -> None:
    """Check what the configuration alone cannot tell.

    Raises:
        DeploymentError: with every finding at once.
    """
    problems = [*_checkpoint(deployment)]
    if problems:
        raise DeploymentError("\n\n".join(str(problem) for problem in problems))


def _checkpoint(deployment: Deployment) -> list[Problem]:
    reference = deployment.options.get("checkpoint_path")
    if reference is None or str(reference).startswith("package:") or Path(reference).exists():
        return []
    return [
        Problem(
            where=f"deployment {deployment.name}: checkpoint_path",
            what="does not exist",
            got=str(reference),
            expected="a path on this machine, or package:PACKAGE/FILE",
            hint="relative paths begin at the directory in which snakemake runs",
        )
    ]
