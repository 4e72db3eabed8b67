"""`snakeval path`: where the workflow's own files are."""

import argparse
from typing import Any

from snakeval.system.checkout import ROOT

EPILOG = """examples:
  snakemake -s "$(snakeval path)/Snakefile" --profile "$(snakeval path)/profiles/local" --configfile my.yaml
  ls "$(snakeval path)/config/examples"      whole configurations to start from
"""


def register(subparsers: "argparse._SubParsersAction[Any]") -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser(
        "path", help="print the folder of Snakefile, profiles and examples", description=__doc__, epilog=EPILOG
    )
    parser.set_defaults(run=show_path)


def show_path(arguments: argparse.Namespace) -> int:
    """Print the folder; returns 0."""
    print(ROOT)
    return 0
