"""`snakeval clean`: list and delete what a run has left behind: servers, and on Lepton endpoints, jobs and secrets."""

import argparse
from typing import Any

from snakeval.commands.chosen_run import add_run_arguments, choose_run
from snakeval.run.paths import STATE_DIR

EPILOG = """examples:
  snakeval clean --dry-run                         list what the run of config/config.yaml has left
  snakeval clean --configfile my.yaml              delete it

Needed only after a Snakemake was killed and is not called again: the next call on the run cleans up by itself.
"""


def register(subparsers: "argparse._SubParsersAction[Any]") -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser(
        "clean", help="list and delete what a run has left behind", description=__doc__, epilog=EPILOG
    )
    parser.add_argument("--dry-run", "-n", action="store_true", help="list it, and delete nothing")
    add_run_arguments(parser)
    parser.set_defaults(run=clean)


def clean(arguments: argparse.Namespace) -> int:
    """List what is left, and delete it unless told not to; returns 0."""
    from snakeval.workflow.leftovers import clean_up, leftovers

    config, state_dir = choose_run(arguments).config, STATE_DIR
    found = leftovers(config, state_dir)
    if not found:
        print(f"run {config.run} has left nothing behind")
    elif arguments.dry_run:
        print(*found, sep="\n")
    else:
        clean_up(config, state_dir, found, print)
    return 0
