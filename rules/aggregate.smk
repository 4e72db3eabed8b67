"""Collects the results of a run into tables.

Needs every result. Makes `summary.csv`, `summary.json`, `summary.md` and `lock.yaml`.
"""


localrules:
    aggregate,


rule aggregate:
    """Collect all results into the summary tables and the lock file."""
    input:
        all_results(),
    output:
        csv=RUN.summary("csv"),
        json=RUN.summary("json"),
        md=RUN.summary("md"),
        lock=RUN.lock_file,
    log:
        RUN.root / "aggregate.log",
    script:
        "../scripts/aggregate.py"
