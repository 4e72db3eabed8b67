"""Collects the results of a run into tables, and shows it as one page.

Needs every result. Makes `summary.csv`, `summary.json`, `summary.md` and `lock.yaml`; with these, the comparisons and the
records of the servers, `report.html`. What is wrapped in `report(...)` is also in the page of `snakemake --report`.
"""


localrules:
    aggregate,
    report,


rule aggregate:
    """Collect all results into the summary tables and the lock file."""
    input:
        INPUTS.all_results(),
    output:
        csv=report(
            RUN.summary("csv"),
            caption="../scripts/templates/report/summary.rst",
            category="Results",
        ),
        json=RUN.summary("json"),
        md=RUN.summary("md"),
        lock=RUN.lock_file,
    log:
        RUN.aggregate_log,
    script:
        "../scripts/rules/aggregate.py"


rule report:
    """Write the whole run as one page that needs no network."""
    input:
        results=INPUTS.all_results(),
        teardowns=INPUTS.all_teardowns(),
        comparisons=INPUTS.comparison_files(),
        lock=RUN.lock_file,
    output:
        page=report(
            RUN.report,
            caption="../scripts/templates/report/page.rst",
            category="Results",
        ),
    log:
        RUN.report_log,
    # A gate that fails the run does not come before it.
    priority: 1
    script:
        "../scripts/rules/report.py"
