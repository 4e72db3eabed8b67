"""What a run prints when it ends."""

import sys

from snakeval.results.compare.record import ComparisonRecord
from snakeval.results.compare.text import comparison_summary
from snakeval.results.exports.record import export_line
from snakeval.results.summary import failure_report, leaderboard, summarize, write_summary
from snakeval.workflow.inputs import Inputs


def show_leaderboard(inputs: Inputs) -> None:
    """Print the scores, and where the tables and the page are."""
    paths = inputs.paths
    print(
        f"\n{leaderboard(summarize(inputs.config))}\n\n"
        f"run {inputs.config.run}: {paths.root}/summary.csv, .json, .md; {paths.report}\n",
        flush=True,
    )


def show_failures(inputs: Inputs) -> None:
    """Write the tables and the page of what there is, and print where to read about what is missing."""
    rows = summarize(inputs.config)
    write_summary(inputs.config, rows)
    print(failure_report(inputs.config, rows), flush=True)
    _write_report(inputs)


def show_comparisons(inputs: Inputs) -> None:
    """Print the comparisons of the results as they are now, with what their gates say."""
    for name in inputs.current_comparisons():
        comparison = ComparisonRecord.read(inputs.paths.comparison(name, "json"))
        if comparison is not None:
            page = inputs.paths.comparison(name, "md")
            print(f"{comparison_summary(comparison, str(page))}\n", flush=True)


def show_exports(inputs: Inputs) -> None:
    """Print where every export is, or where to read why it is not there."""
    lines = [export_line(inputs.paths, format, inputs.all_results()) for format in inputs.exports]
    if lines:
        print("\n".join(["exports:", *lines, ""]), flush=True)


def _write_report(inputs: Inputs) -> None:
    """Write the report of what there is; whatever goes wrong with it hides nothing of the failure itself."""
    page = inputs.paths.report
    try:
        # Slow to import, and only a run that has failed needs it here.
        from snakeval.results.report.page import write_report

        comparisons = [inputs.paths.comparison(name, "json") for name in inputs.current_comparisons()]
        write_report(inputs.config, comparisons, page)
        print(f"\nreport: {page}\n", flush=True)
    except Exception as error:
        print(f"\nnotice: no report was written: {error}\n", file=sys.stderr)
