"""What a run has left behind in its Lepton workspace: found by the names of its endpoints, secrets and jobs."""

from pathlib import Path

from snakemake_executor_plugin_lepton.api import Lepton
from snakemake_executor_plugin_lepton.jobs import ID_FILE, workdir_prefix
from snakemake_executor_plugin_lepton.model import LeptonError

from snakeval.backends.base import Leftover
from snakeval.backends.lepton.marks import known_owner
from snakeval.backends.lepton.spec import run_prefix
from snakeval.config.model import Config
from snakeval.errors import DeploymentError
from snakeval.run.paths import RunPaths
from snakeval.run.session import others_at_work


class LeptonLeftovers:
    """See `Leftovers`."""

    def __init__(self, config: Config) -> None:
        self._config = config

    def find(self, state_dir: Path) -> list[Leftover]:
        """See `Leftovers`. While another run of the working directory is at work, its jobs are left alone."""
        try:
            lepton, found = Lepton(), list[Leftover]()
            owner = known_owner(RunPaths(self._config.folder))
            if owner is not None:
                prefix = run_prefix(owner)
                rows = [row for row in lepton.endpoints() if row.name.startswith(prefix)]
                found += [Leftover("endpoint", row.name, row.phase) for row in rows]
                found += [
                    Leftover("secret", name, "") for name in sorted(lepton.secret_names()) if name.startswith(prefix)
                ]
            if (state_dir / ID_FILE).exists() and not others_at_work(state_dir, self._config.run):
                jobs = lepton.jobs(workdir_prefix(state_dir.absolute().parent, state_dir))
                found += [Leftover("job", row.job_id, row.state) for row in jobs]
        except LeptonError as error:
            raise DeploymentError(f"Lepton cannot be asked for what is left: {error}") from None
        return found

    def delete(self, leftovers: list[Leftover]) -> None:
        """Delete endpoints, secrets and jobs; what is gone already is fine.

        Raises:
            DeploymentError: with all that could not be deleted.
        """
        failed: list[str] = []
        try:
            lepton = Lepton()
        except LeptonError as error:
            raise DeploymentError(f"nothing could be deleted: {error}") from None
        delete = {"endpoint": lepton.delete_endpoint, "job": lepton.delete_job, "secret": lepton.delete_secret}
        for leftover in leftovers:
            try:
                delete[leftover.kind](leftover.name)
            except LeptonError as error:
                failed.append(f"{leftover.kind} {leftover.name} ({error})")
        if failed:
            raise DeploymentError(f"could not be deleted: {', '.join(failed)}")
