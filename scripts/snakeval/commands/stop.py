"""`snakeval stop`: end a run, or one deployment of it."""

import argparse
from typing import Any

from snakeval.commands.chosen_run import add_run_arguments, choose_run
from snakeval.errors import Problem, UsageError

EPILOG = """examples:
  snakeval stop                           end the Snakemake that works on the run, as Ctrl-C does, and every server
  snakeval stop qwen                      end one deployment; the run goes on with the others
  snakeval stop --run results/first       a run by its folder

Nothing is lost: the same call of Snakemake goes on where the tasks were. Safe to call twice, and when nothing runs.
"""


def register(subparsers: "argparse._SubParsersAction[Any]") -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser("stop", help="end a run, or one deployment", description=__doc__, epilog=EPILOG)
    parser.add_argument("deployment", nargs="?", metavar="DEPLOYMENT", help="end this deployment only")
    add_run_arguments(parser, folder_is_positional=False)
    parser.set_defaults(run=stop)


def stop(arguments: argparse.Namespace) -> int:
    """Stop what was asked for, and say what has ended; returns 0."""
    from snakeval.workflow.stopping import stop_deployment, stop_run

    config = choose_run(arguments).config
    if arguments.deployment is None:
        stop_run(config, _say)
        return 0
    found = {one.name: one for one in config.served}
    if arguments.deployment not in found:
        names = ", ".join(found)
        raise UsageError(
            Problem(
                arguments.deployment,
                f"is no deployment of run {config.run}",
                arguments.deployment,
                f"one of {names}",
                "a run is chosen by --run or --configfile; without a name the whole run is stopped",
            )
        )
    stop_deployment(config, found[arguments.deployment], _say)
    return 0


def _say(message: str) -> None:
    print(message, flush=True)
