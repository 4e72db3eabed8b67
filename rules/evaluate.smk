"""Runs one task's harness against a deployment.

Needs the task's leases. Makes `result.json` and `samples.jsonl.gz`; a failed attempt leaves what lets the next one resume.
"""

if CONFIG.execution.evaluates_in_allocation:

    # Snakemake only starts them; the batch system has no job to give for them.
    localrules:
        evaluate,


rule evaluate:
    """Run one task against a ready deployment and write its scores and samples."""
    input:
        lease=RUN.task("{deployment}", "{task}").lease,
        auxiliaries=INPUTS.auxiliary_leases,
    output:
        result=RUN.task("{deployment}", "{task}").result,
        samples=RUN.task("{deployment}", "{task}").samples,
    log:
        RUN.task("{deployment}", "{task}").log,
    benchmark:
        RUN.task("{deployment}", "{task}").benchmark
    priority: SCHEDULING.evaluate_priority
    threads: 1
    resources:
        **SCHEDULING.task_job_resources(),
        **SCHEDULING.requests(),
        attempt=attempt_number,
    params:
        fingerprint=INPUTS.task_fingerprint,
    message:
        "Evaluating {wildcards.task} on {wildcards.deployment}, log: {log}"
    script:
        "../scripts/rules/evaluate.py"
