"""A deployment's life: what is served, a server that answers, the server's end.

Needs the configuration, and the environments of `environment.smk`, which `ready` waits for. Makes `server/deployment.json`, a lease per task
and `server/teardown.json`. The server itself is no file and no job: `ready` starts it when it is not up, and it ends by
teardown, by the hooks of the Snakefile, or by itself when nobody uses it.
"""


localrules:
    deploy,
    ready,
    ready_auxiliary,
    teardown,


rule deploy:
    """Check a deployment before anything is started, and write what is served."""
    output:
        RUN.server("{deployment}").deployment,
    log:
        RUN.server("{deployment}").deploy_log,
    priority: SCHEDULING.deploy_priority
    # What it finds wrong does not mend itself.
    retries: 0
    threads: 0
    resources:
        ready=SCHEDULING.ready_slot,
    params:
        fingerprint=INPUTS.deployment_fingerprint,
    script:
        "../scripts/rules/deploy.py"


rule ready:
    """Have the deployment's server up and answering, and write the task's lease on it."""
    input:
        deployment=RUN.server("{deployment}").deployment,
    output:
        lease=temp(RUN.task("{deployment}", "{task}").lease),
    log:
        RUN.task("{deployment}", "{task}").ready_log,
    priority: SCHEDULING.ready_priority
    # It only waits; a core that it held would be missing to the tasks that it waits for.
    threads: 0
    resources:
        ready=SCHEDULING.ready_slot,
        attempt=attempt_number,
        last_attempt=last_attempt,
    script:
        "../scripts/rules/ready.py"


rule ready_auxiliary:
    """Have a deployment up that a task uses beside the one that it evaluates, and write the task's lease on it."""
    input:
        deployment=RUN.server("{auxiliary}").deployment,
    output:
        lease=temp(RUN.auxiliary("{auxiliary}", "{deployment}", "{task}").lease),
    log:
        RUN.auxiliary("{auxiliary}", "{deployment}", "{task}").ready_log,
    priority: SCHEDULING.ready_priority
    threads: 0
    resources:
        attempt=attempt_number,
        last_attempt=last_attempt,
    script:
        "../scripts/rules/ready.py"


rule teardown:
    """Stop the deployment's server after its last task, and write how it lived."""
    input:
        INPUTS.results_of,
    output:
        RUN.server("{deployment}").teardown,
    log:
        RUN.server("{deployment}").teardown_log,
    priority: SCHEDULING.teardown_priority
    threads: 0
    script:
        "../scripts/rules/teardown.py"
