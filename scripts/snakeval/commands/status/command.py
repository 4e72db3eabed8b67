"""`snakeval status`: servers and tasks of a run, while it goes and after."""

import argparse
import json
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from snakeval.backends import backend_of
from snakeval.commands.chosen_run import add_run_arguments, choose_run

if TYPE_CHECKING:
    from snakeval.commands.status.run_status import RunStatus

WATCH_EVERY_S = 2.0
WIDE = 10_000
EPILOG = """examples:
  snakeval status                                  the run of config/config.yaml
  snakeval status --configfile my.yaml --watch     look on until the run has ended
  snakeval status results/first --json             for programs; schemas/status.schema.yaml describes it

Works beside a running Snakemake, from any shell, and afterwards. Writes nothing.
"""


def register(subparsers: "argparse._SubParsersAction[Any]") -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser(
        "status", help="servers and tasks of a run, while it goes and after", description=__doc__, epilog=EPILOG
    )
    parser.add_argument("--watch", "-w", action="store_true", help="look again every 2 s until the run has ended")
    parser.add_argument("--json", action="store_true", help="print JSON; with --watch one object a line")
    add_run_arguments(parser)
    parser.set_defaults(run=show_status)


def show_status(arguments: argparse.Namespace) -> int:
    """Print the state of the run, once or until it has ended; returns 0."""
    from snakeval.commands.status.run_status import run_status

    config = choose_run(arguments).config
    backend = backend_of(config)

    def look() -> "RunStatus":
        return run_status(config, backend=backend)

    if arguments.watch:
        _watch(look, arguments.json)
    elif arguments.json:
        _print_json(look(), indent=2)
    else:
        _print_table(look())
    return 0


def _watch(look: "Callable[[], RunStatus]", as_json: bool) -> None:
    """Show the run until the Snakemake that works on it has ended; one that has not begun yet is waited for."""
    if as_json:
        _each(look, lambda status: _print_json(status, indent=None))
    elif sys.stdout.isatty():
        _watch_screen(look)
    else:
        _each(look, _LinePrinter().show)


def _each(look: "Callable[[], RunStatus]", show: "Callable[[RunStatus], None]") -> None:
    seen = False
    while True:
        status = look()
        show(status)
        if seen and not status.session_lives:
            return
        seen = seen or status.session_lives
        time.sleep(WATCH_EVERY_S)


def _watch_screen(look: "Callable[[], RunStatus]") -> None:
    from rich.console import Console
    from rich.live import Live

    from snakeval.commands.status.table import status_view

    console = Console()
    with Live(console=console, auto_refresh=False, transient=True) as live:
        _each(look, lambda status: live.update(status_view(status, console.width, console.height), refresh=True))
    _print_table(look())


class _LinePrinter:
    """Where there is no terminal, a line is printed whenever the counts have changed."""

    def __init__(self) -> None:
        self._last = ""

    def show(self, status: "RunStatus") -> None:
        """Print the counts unless they are the last ones."""
        from snakeval.commands.status.table import counts_line

        line = f"Snakemake {status.session_state}; {counts_line(status)}"
        if line != self._last:
            print(f"{time.strftime('%H:%M:%S', time.localtime(status.at))} {line}", flush=True)
            self._last = line


def _print_json(status: "RunStatus", indent: int | None) -> None:
    from snakeval.commands.status.document import status_document

    print(json.dumps(status_document(status), indent=indent, ensure_ascii=False), flush=True)


def _print_table(status: "RunStatus") -> None:
    from rich.console import Console

    from snakeval.commands.status.table import status_view

    if sys.stdout.isatty():
        console = Console(highlight=False)
        console.print(status_view(status, console.width))
    else:
        # Where the lines go, nobody knows how long they may be: nothing is cut.
        Console(highlight=False, width=WIDE).print(status_view(status))
