"""The command `snakeval`: looks at runs and ends them.

The table has one entry for each subcommand: the module whose `register` adds its parser. What takes long to import is
imported inside the function that runs it.
"""

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from snakeval import __version__
from snakeval.errors import ExtensionError, Problem, SnakevalError
from snakeval.system.extensions import load_function, load_module

TABLE = "scripts/snakeval/commands/__init__.py"
# In the order of the help; each module has a function as `register_contract`.
COMMANDS: Mapping[str, str] = {
    "status": "snakeval.commands.status.command",
    "logs": "snakeval.commands.logs",
    "answers": "snakeval.commands.answers",
    "stop": "snakeval.commands.stop",
    "clean": "snakeval.commands.clean",
    "plan": "snakeval.commands.plan.command",
    "tasks": "snakeval.commands.tasks.command",
    "path": "snakeval.commands.path",
}

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


def register_contract(subparsers: "argparse._SubParsersAction[Any]") -> None:
    """Add the parser of the subcommand, which has the name that the table gives it, with a default `run`.

    `run` takes the parsed arguments and returns the exit status.
    """


def make_parser() -> Parser:
    """Return the parser with all subcommands.

    Raises:
        ExtensionError: one of them is not there, or incomplete.
    """
    parser = Parser(
        prog="snakeval", description="Look at runs of Snakeval, and end them; snakemake begins them.", epilog=EPILOG
    )
    parser.add_argument("--version", action="version", version=f"snakeval {__version__}")
    subparsers = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name, module in COMMANDS.items():
        _register(name, module, subparsers)
    return parser


def _register(name: str, module: str, subparsers: "argparse._SubParsersAction[Any]") -> None:
    where = f"{TABLE}: {name}"
    load_module(module, where)
    register = load_function(f"{module}:register", where, register_contract)
    got, what = f"{module}.register", "names a module that does not register this subcommand"
    try:
        register(subparsers)
    # Which of the two, for a name that is taken, depends on Python's version.
    except (argparse.ArgumentError, ValueError) as error:
        got += f": {error}"
    else:
        added = subparsers.choices.get(name)
        if added is not None and callable(added.get_default("run")):
            return
        what = what if added is None else "has nothing to run"
    hint = "register(subparsers) is subparsers.add_parser(NAME, ...) and set_defaults(run=FUNCTION)"
    raise ExtensionError(Problem(where, what, got, f"a parser {name} with a default run", hint))
