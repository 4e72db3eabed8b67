"""Which run a command is about: chosen by the arguments that Snakemake takes, or by the folder of its results."""

import argparse
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from snakeval.config import load_config
from snakeval.config.model import Config
from snakeval.errors import Problem, UsageError
from snakeval.run.paths import RunPaths
from snakeval.system.checkout import ROOT


@dataclass(frozen=True)
class ChosenRun:
    """A run that exists, or that Snakemake would begin.

    Attributes:
        config: Its configuration.
        paths: Its folder.
        snakemake_arguments: What chooses the same run on Snakemake's command line.
    """

    config: Config
    paths: RunPaths
    snakemake_arguments: tuple[str, ...]


def add_run_arguments(parser: argparse.ArgumentParser, folder_is_positional: bool = True) -> None:
    """Add the arguments that choose a run.

    Args:
        parser: Of a subcommand.
        folder_is_positional: Whether the folder may be given without `--run`; no where other words may be given.
    """
    group = parser.add_argument_group("which run", "as for snakemake, or by the folder of its results")
    if folder_is_positional:
        group.add_argument("folder", nargs="?", type=Path, metavar="RUN", help="folder of a run, e.g. results/demo")
    group.add_argument("--run", dest="run_folder", type=Path, metavar="RUN", help="folder of a run, e.g. results/demo")
    group.add_argument(
        "--configfile", "--configfiles", nargs="+", type=Path, default=[], metavar="FILE", help="as given to snakemake"
    )
    group.add_argument(
        "--config", "-C", nargs="+", default=[], metavar="KEY=VALUE", help="as given to snakemake; dotted keys as well"
    )
    group.add_argument("--directory", "-d", type=Path, metavar="DIR", help="working directory, as given to snakemake")


def choose_run(arguments: argparse.Namespace) -> ChosenRun:
    """Return the run that the arguments of `add_run_arguments` choose.

    Changes the working directory when `--directory` is given.

    Raises:
        UsageError: the folder holds no run, or folder and configuration are both given.
        ConfigError: the configuration has errors.
    """
    if arguments.directory is not None:
        _enter(arguments.directory)
    folder = getattr(arguments, "folder", None) or arguments.run_folder
    if folder is None:
        overrides = _parse_overrides(arguments.config)
        plain = _option("--configfile", arguments.configfile) + _option("--config", arguments.config)
        return _chosen(arguments.configfile, overrides, plain)
    if arguments.configfile or arguments.config:
        raise UsageError(
            Problem(
                "RUN", "and --configfile or --config both choose a run", str(folder), "one of them", "leave one out"
            )
        )
    return run_in_folder(folder)


def run_in_folder(folder: Path) -> ChosenRun:
    """Return the run whose results are in a folder, by the configuration that it was begun with.

    Raises:
        UsageError: no run was ever begun there.
    """
    resolved = RunPaths(folder).resolved_config
    if not resolved.is_file():
        hint = "give the run by --configfile, as for snakemake" if folder.is_dir() else "relative to --directory"
        raise UsageError(
            Problem(str(folder), "is not the folder of a run", f"no {resolved}", "a folder such as results/demo", hint)
        )
    overrides = {"run": folder.resolve().name, "execution.output_dir": str(folder.parent)}
    entries = [f"{key}={value}" for key, value in overrides.items()]
    return _chosen([resolved], overrides, _option("--configfile", [resolved]) + _option("--config", entries))


def _chosen(files: list[Path], overrides: Mapping[str, Any], snakemake_arguments: list[str]) -> ChosenRun:
    for file in files:
        if not file.is_file():
            raise UsageError(
                Problem(
                    str(file),
                    "does not exist",
                    f"--configfile {file}, in {Path.cwd()}",
                    "a YAML or JSON file",
                    "relative paths begin at the working directory, or at --directory",
                )
            )
    config = load_config(files, overrides, ROOT, os.environ, check_environ=False)
    return ChosenRun(config, RunPaths(config.folder), tuple(snakemake_arguments))


def _enter(directory: Path) -> None:
    try:
        os.chdir(directory)
    except OSError as error:
        raise UsageError(
            Problem("--directory", "cannot be entered", f"{directory}: {error.strerror}", "a folder", "create it first")
        ) from None


def _parse_overrides(entries: list[str]) -> Mapping[str, Any]:
    """Parse `--config` as Snakemake does, which takes a second to import and is worth that only when it is given."""
    if not entries:
        return {}
    import snakemake.cli
    from snakemake_interface_logger_plugins.registry import LoggerPluginRegistry

    # This imports the plugins, as Snakemake does before it reads its arguments; ours adds the dotted keys.
    LoggerPluginRegistry()
    try:
        return dict(snakemake.cli.parse_config(entries))
    except ValueError as error:
        raise UsageError(
            Problem("--config", "cannot be read", " ".join(entries), "key=value ...", str(error).splitlines()[0])
        ) from None


def _option(name: str, values: list[Any]) -> list[str]:
    return [name, *map(str, values)] if values else []
