"""Compares deployments of the run with each other and with earlier runs, and lets policies decide.

Needs the results and samples of both sides. Makes `compare/<name>.json` and `.md`, verdict included; `gate` turns a
verdict, or that nothing could be compared, into the status of the run.
"""


localrules:
    compare,
    gate,


rule compare:
    """Compare two deployments task by task, and judge the candidate by the gate's policy."""
    input:
        files=INPUTS.compared_files,
        policy=INPUTS.comparison_policy,
    output:
        json=RUN.comparison("{comparison}", "json"),
        md=report(
            RUN.comparison("{comparison}", "md"),
            caption="../scripts/templates/report/comparison.rst",
            category="Comparisons",
        ),
    log:
        RUN.comparison("{comparison}", "compare.log"),
    params:
        settings=INPUTS.comparison_settings,
    script:
        "../scripts/rules/compare.py"


rule gate:
    """Fail when a policy does not let a comparison pass, or nothing could be compared: the run's status is not 0."""
    input:
        comparison=RUN.comparison("{comparison}", "json"),
    output:
        passed=RUN.comparison("{comparison}", "passed"),
    log:
        RUN.comparison("{comparison}", "gate.log"),
    # The same comparison gets the same verdict.
    retries: 0
    script:
        "../scripts/rules/gate.py"
