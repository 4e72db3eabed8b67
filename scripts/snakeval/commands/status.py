"""`snakeval status`: servers and tasks of a run, while it goes and after."""

import argparse
from typing import Any

from snakeval.commands.chosen_run import add_run_arguments, choose_run


def register(subparsers: "argparse._SubParsersAction[Any]") -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser("status", help="servers and tasks of a run, while it goes and after")
    add_run_arguments(parser)
    parser.set_defaults(run=show_status)


def show_status(arguments: argparse.Namespace) -> int:
    """Print the state of the run; returns 0."""
    chosen = choose_run(arguments)
    print(f"run {chosen.config.run}: {chosen.paths.root}")
    return 0
