"""Lists and deletes what a run has left behind: servers, and on Lepton endpoints, jobs and secrets."""

from pathlib import Path

from snakeval.backends import backend_of, leftovers_of
from snakeval.backends.base import Leftover
from snakeval.config.model import Config
from snakeval.deployments.types import deployment_type
from snakeval.errors import DeploymentError
from snakeval.run.paths import RunPaths, run_lock
from snakeval.system.files import HeldLock
from snakeval.system.say import Say


def leftovers(config: Config, state_dir: Path) -> list[Leftover]:
    """Return what the run has left behind; deletes nothing.

    Args:
        config: The run.
        state_dir: Snakemake's own folder, `.snakemake` of the working directory.

    Raises:
        DeploymentError: where it would be cannot be asked.
    """
    special = leftovers_of(config)
    if special is not None:
        return special.find(state_dir)
    backend = backend_of(config)
    states = {one.name: backend.state(one.name) for one in config.served if deployment_type(one.type).has_server}
    return [Leftover("server", name, server.state) for name, server in states.items() if server.lives]


def clean_up(config: Config, state_dir: Path, existing: list[Leftover], say: Say) -> None:
    """Delete what `leftovers` has returned, and put the servers' records right; safe to call twice.

    Raises:
        DeploymentError: a Snakemake works on the run, or something could not be deleted.
    """
    lock = HeldLock(run_lock(state_dir, config.run))
    if not lock.acquire():
        raise DeploymentError(f"a Snakemake is working on run {config.run}; end it first, then nothing is left over")
    try:
        backend = backend_of(config)
        for deployment in config.served:
            if deployment_type(deployment.type).has_server:
                backend.stop(deployment.name)
        for lease in RunPaths(config.folder).leases():
            lease.unlink(missing_ok=True)
        special = leftovers_of(config)
        if special is not None:
            special.delete(existing)
    finally:
        lock.release()
    for leftover in existing:
        say(f"deleted: {leftover}")
