"""Where servers run. The table has one entry for each backend, and no other place names the modules of one.

A backend has a schema besides (`schemas/execution/<name>.schema.yaml`), which says by its `x-` keys what the rules and
checks of other rooms have to know of it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from snakeval.backends.base import Attendant, Backend, Beside, Leftovers, problems_contract
from snakeval.config.model import Config
from snakeval.errors import ExtensionError, Problem
from snakeval.system.extensions import load_class, load_function

TABLE = "scripts/snakeval/backends/__init__.py"


@dataclass(frozen=True)
class Parts:
    """What a backend consists of; each part is loaded when it is used.

    Attributes:
        backend: A class as `Backend`, made from the `Config`.
        problems: A function as `problems_contract`; None for a backend that nothing can be asked of beforehand.
        attendant: A class as `Attendant`, made from the `Config`; None for servers that need none.
        leftovers: A class as `Leftovers`, made from the `Config`; None where a run can leave behind nothing but living
            servers.
        beside: A class as `Beside`, made from a server's `allocation`; None where tasks cannot run there.
    """

    backend: str
    problems: str | None = None
    attendant: str | None = None
    leftovers: str | None = None
    beside: str | None = None


BACKENDS: Mapping[str, Parts] = {
    "local": Parts("snakeval.backends.local:LocalBackend"),
    "slurm": Parts("snakeval.backends.slurm.backend:SlurmBackend", beside="snakeval.backends.slurm.step:Step"),
    "lepton": Parts(
        "snakeval.backends.lepton.backend:LeptonBackend",
        problems="snakeval.backends.lepton.preflight:lepton_problems",
        attendant="snakeval.backends.lepton.keeper:Keeper",
        leftovers="snakeval.backends.lepton.leftovers:LeptonLeftovers",
    ),
}
_CONTRACTS: Mapping[str, type] = {"backend": Backend, "attendant": Attendant, "leftovers": Leftovers, "beside": Beside}


def backend_of(config: Config) -> Backend:
    """Return the backend of `execution.type`; raises ExtensionError when it is incomplete, as all functions here."""
    backend: Backend = _class_of(config, "backend")(config)
    return backend


def attendant_of(config: Config) -> Attendant | None:
    """Return the attendant of `execution.type`, None where servers need none."""
    found = _class_of(config, "attendant")
    return found(config) if found else None


def leftovers_of(config: Config) -> Leftovers | None:
    """Return what finds and deletes the leftovers of `execution.type`, None where only servers can be left."""
    found = _class_of(config, "leftovers")
    return found(config) if found else None


def beside(config: Config, allocation: str) -> Beside:
    """Return the place beside a server of `execution.type` that has an allocation."""
    found = _class_of(config, "beside")
    if found is None:
        name, what = config.execution.type, "says of no class how tasks run beside servers"
        hint = f"name one, or leave `allocation` of the servers of {name} empty"
        expected = "a class as Beside in scripts/snakeval/backends/base.py"
        raise ExtensionError(Problem(f"{TABLE}: {name}.beside", what, f"allocation {allocation}", expected, hint))
    place: Beside = found(allocation)
    return place


def backend_problems(config: Config) -> list[Problem]:
    """Return what keeps the backend of `execution.type` from working, as far as it can be asked; creates nothing."""
    name = config.execution.type
    try:
        load_parts(name)
        reference = parts_of(name).problems
        ask = load_function(reference, f"{TABLE}: {name}.problems", problems_contract) if reference else None
    except ExtensionError as error:
        return [error.problem]
    return list(ask(config)) if ask else []


def load_parts(name: str) -> None:
    """Load every class of a backend, to see that it is complete."""
    for part in _CONTRACTS:
        _load(name, part)


def parts_of(name: str) -> Parts:
    """Return a backend's entry of the table."""
    if name not in BACKENDS:
        hint = f"add the entry {name!r}, or remove schemas/execution/{name}.schema.yaml"
        raise ExtensionError(Problem(TABLE, "has no entry for an execution type", name, ", ".join(BACKENDS), hint))
    return BACKENDS[name]


def _class_of(config: Config, part: str) -> Any:
    return _load(config.execution.type, part)


def _load(name: str, part: str) -> Any:
    reference = getattr(parts_of(name), part)
    return load_class(reference, f"{TABLE}: {name}.{part}", _CONTRACTS[part]) if reference else None
