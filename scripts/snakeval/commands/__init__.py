"""The command `snakeval`: looks at runs and ends them.

Each module here is one subcommand. It has `register(subparsers)`, which adds its parser with a default `run`: a
function that takes the parsed arguments and returns the exit status. What takes long to import is imported inside it.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from snakeval import __version__
from snakeval.errors import Problem, SnakevalError

USAGE_STATUS = 2
INTERRUPTED_STATUS = 130
EPILOG = """examples:
  snakeval status                        the run of config/config.yaml
  snakeval status --configfile my.yaml   the run of your configuration; --config key=value as for snakemake
  snakeval status results/first          a run by its folder
"""


class Parser(argparse.ArgumentParser):
    """Tells wrong arguments in the form of all other errors, and shows examples as they are written."""

    def __init__(self, **arguments: object) -> None:
        super().__init__(formatter_class=argparse.RawDescriptionHelpFormatter, **arguments)  # type: ignore[arg-type]

    def error(self, message: str) -> NoReturn:
        """Print four lines and end with status 2."""
        given = " ".join(sys.argv[1:]) or "no arguments"
        problem = Problem(self.prog, f"cannot be called like this: {message}", given, self._form(), "--help says more")
        print(problem, file=sys.stderr)
        sys.exit(USAGE_STATUS)

    def _form(self) -> str:
        return " ".join(self.format_usage().removeprefix("usage: ").split())


def main(argv: Sequence[str] | None = None) -> int:
    """Run one subcommand, by default that of the command line; entry point of the command.

    Returns:
        The exit status: 0, 1 for an error, 2 for wrong arguments, 130 for Ctrl-C.
    """
    try:
        arguments = make_parser().parse_args(argv)
        status = int(arguments.run(arguments))
        sys.stdout.flush()
    except SnakevalError as error:
        print(f"error: {str(error).removeprefix('error: ')}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return INTERRUPTED_STATUS
    except BrokenPipeError:
        # The reader has seen enough; Python would complain when it flushes at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return status


def make_parser() -> Parser:
    """Return the parser with all subcommands."""
    # Here and not above: each of these modules imports this package first.
    from snakeval.commands import clean, logs, path, stop
    from snakeval.commands.plan import command as plan
    from snakeval.commands.status import command as status
    from snakeval.commands.tasks import command as tasks

    modules = (status, logs, stop, clean, plan, tasks, path)
    parser = Parser(
        prog="snakeval", description="Look at runs of Snakeval, and end them; snakemake begins them.", epilog=EPILOG
    )
    parser.add_argument("--version", action="version", version=f"snakeval {__version__}")
    subparsers = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for module in modules:
        module.register(subparsers)
    return parser
