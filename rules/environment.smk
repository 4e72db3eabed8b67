"""Builds the virtual environments that servers and harnesses run in.

Needs `envs/<family>.lock`. Makes one environment per lock, in a folder that all runs share.
"""


localrules:
    environment,


rule environment:
    """Build the virtual environment of a tool family from its hash-pinned lock."""
    output:
        environment_marker("{environment}"),
    log:
        environments_dir() / "{environment}.log",
    priority: 1000
    threads: 1
    message:
        "Building environment {wildcards.environment}, log: {log}"
    script:
        "../scripts/rules/environment.py"
