"""Snakeval: deploy a model, wait until it answers, run every task against it, aggregate the scores.

    deploy -> ready -> evaluate (one job per task) -> aggregate -> report
                         |-> teardown (as soon as the last task of a deployment has ended)
                         |-> compare -> gate (where the configuration asks for it)
                         `-> export (one job per format and tracker that the configuration names)

What is measured stands in the configuration (config/README.md), where it runs in the profiles (profiles/README.md).
"""

import sys

from snakemake.utils import min_version

min_version("9.27")
sys.path.insert(0, f"{workflow.current_basedir}/scripts")


include: "rules/common.smk"
include: "rules/session.smk"
include: "rules/environment.smk"
include: "rules/deploy.smk"
include: "rules/evaluate.smk"
include: "rules/aggregate.smk"
include: "rules/compare.smk"
include: "rules/export.smk"


rule all:
    """Summary and report of the run; every result and record is named, so that a deleted one is made again."""
    default_target: True
    input:
        summary=RUN.summary("json"),
        report=RUN.report,
        results=INPUTS.all_results(),
        teardowns=INPUTS.all_teardowns(),
        comparisons=INPUTS.all_comparisons(),
        exports=INPUTS.all_exports(),
        environments=INPUTS.missing_environments(),


onstart:
    begin_session()


onsuccess:
    end_session("succeeded")
    show_success()


onerror:
    end_session("failed")
    show_failure()
