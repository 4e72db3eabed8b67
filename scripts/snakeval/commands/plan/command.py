"""`snakeval plan`: what a run will cost, from what earlier runs took."""

import argparse
import json
from typing import TYPE_CHECKING, Any

from snakeval.commands.chosen_run import add_run_arguments, choose_run

if TYPE_CHECKING:
    from snakeval.commands.plan.estimate import DeploymentPlan

EPILOG = """examples:
  snakeval plan --configfile my.yaml
  snakeval plan --configfile my.yaml --config evaluation.limit=1000 --json

What is to do is what `snakemake -n` would run with the same arguments. What it takes comes from the results under
execution.output_dir; a task that was never run there has no data. Starts nothing and writes nothing.
"""


def register(subparsers: "argparse._SubParsersAction[Any]") -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser("plan", help="what a run will cost", description=__doc__, epilog=EPILOG)
    parser.add_argument("--json", action="store_true", help="print JSON; schemas/plan.schema.yaml describes it")
    add_run_arguments(parser)
    parser.set_defaults(run=show_plan)


def show_plan(arguments: argparse.Namespace) -> int:
    """Print the plan; returns 0."""
    from snakeval.commands.plan.document import plan_document
    from snakeval.commands.plan.estimate import plan_deployment
    from snakeval.commands.plan.pending import pending_tasks
    from snakeval.commands.plan.table import plan_table
    from snakeval.commands.plan.timings import read_load_times, read_timings

    chosen = choose_run(arguments)
    config = chosen.config
    pending = pending_tasks(config, chosen.snakemake_arguments)
    timings = read_timings(config.execution.output_dir)
    load_times = read_load_times(config.execution.output_dir)
    plans: list[DeploymentPlan] = [
        plan_deployment(config, deployment, pending, timings, load_times) for deployment in config.deployments
    ]
    print(json.dumps(plan_document(config, plans), indent=2) if arguments.json else plan_table(config, plans))
    return 0
