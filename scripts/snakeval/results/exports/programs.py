"""What writes a format, or sends results to a tracker: its contract, and the function that the table names."""

from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

from snakeval.config.model import Config, Export
from snakeval.errors import ExtensionError, Problem
from snakeval.results.exports import TABLE, export_lock, formats, is_tracker
from snakeval.results.exports.request import Sent
from snakeval.results.measured import Measured
from snakeval.system.extensions import load_function


def writer_contract(measured: Sequence[Measured], folder: Path, log: IO[str]) -> None:
    """Write the files of a format.

    Args:
        measured: Every task on every deployment, with its result or without.
        folder: Empty; what is in it afterwards takes the place of an earlier export.
        log: Open log of the job, for what other programs print.

    Raises:
        ExportError: it could not be done.
    """


def sender_contract(export: Export, measured: Sequence[Measured], folder: Path, log: IO[str]) -> list[Sent]:
    """Send the results to a tracker and return what was sent, one object per run of it.

    Args:
        export: The tracker and its settings.
        measured: As for a writer.
        folder: Of the export, for what the tracker keeps for later.
        log: As for a writer.

    Raises:
        ExportError: not everything was sent; calling again completes it.
    """
    return []


def program_of(name: str) -> Any:
    """Return what writes or sends a format: a function as `writer_contract`, or as `sender_contract` for a tracker.

    Raises:
        ExtensionError: the table names none, or it is not there.
    """
    said, tracked = formats()[name].destination, is_tracker(name)
    reference, contract = (said.sender, sender_contract) if tracked else (said.writer, writer_contract)
    where = f"{TABLE}: {name}.{'x-sender' if tracked else 'x-writer'}"
    if reference is None:
        hint = "name the function that writes it; CONTRIBUTING.md, Adding things, shows one"
        raise ExtensionError(Problem(where, "is missing", "nothing", "module:function", hint))
    return load_function(reference, where, contract)


def export_problems(config: Config) -> list[Problem]:
    """Return what keeps exports of the run from being made, before anything is started."""
    return [problem for export in config.exports for problem in format_problems(export.format)]


def format_problems(name: str) -> list[Problem]:
    """Return what a format lacks."""
    lock = export_lock(name)
    if lock and not lock.is_file():
        hint = f"write {lock.stem}.in beside it and call `make lock`"
        where = f"{TABLE}: {name}.x-environment"
        return [Problem(where, "names an environment that is not there", lock.stem, f"envs/{lock.name}", hint)]
    try:
        program_of(name)
    except ExtensionError as error:
        return [error.problem]
    return []
