"""Where servers run. A backend is one module with four verbs over a small record; all are safe to call twice."""

from snakeval.backends.base import Attendant, Backend
from snakeval.config.model import Config
from snakeval.errors import Problem


def backend_problems(config: Config) -> list[Problem]:
    """Return what keeps the backend of `execution.type` from working, as far as it can be asked; creates nothing."""
    if config.execution.type != "lepton":
        return []
    from snakeval.backends.lepton.preflight import lepton_problems

    return lepton_problems(config)


def attendant_of(config: Config) -> Attendant | None:
    """Return the attendant of `execution.type`, None where servers need none."""
    if config.execution.type != "lepton":
        return None
    from snakeval.backends.lepton.keeper import Keeper

    return Keeper(config)


def backend_of(config: Config) -> Backend:
    """Return the backend of `execution.type`."""
    if config.execution.type == "local":
        from snakeval.backends.local import LocalBackend

        return LocalBackend(config)
    if config.execution.type == "slurm":
        from snakeval.backends.slurm.backend import SlurmBackend

        return SlurmBackend(config)
    if config.execution.type == "lepton":
        from snakeval.backends.lepton.backend import LeptonBackend

        return LeptonBackend(config)
    raise ValueError(f"no backend named {config.execution.type}")
