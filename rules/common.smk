"""Loads and validates the configuration; wildcard constraints, and the functions of the rules. No rules."""

import os
from pathlib import Path

from snakeval.config import load_config
from snakeval.errors import ConfigError
from snakeval.run.paths import STATE_DIR, RunPaths
from snakeval.system.checkout import ROOT
from snakeval.system.environments import environment_marker, environments_dir
from snakeval.workflow.inputs import Inputs, any_of
from snakeval.workflow.polling import respect_status_interval
from snakeval.workflow.scheduling import Scheduling, attempt_number
from snakeval.workflow.session import Session

# What the scripts of the rules need to load the same configuration; the values themselves stay out of their pickles.
SOURCE = {
    "configfiles": [str(path) for path in workflow.config_settings.configfiles],
    "overrides": dict(workflow.config_settings.config),
}

try:
    CONFIG = load_config(
        [Path(path) for path in SOURCE["configfiles"]],
        SOURCE["overrides"],
        ROOT,
        os.environ,
        check_environ=workflow.is_main_process,
    )
except ConfigError as error:
    print(error, file=sys.stderr)
    sys.exit(1)

config.clear()
config.update(SOURCE)

RUN = RunPaths(CONFIG.folder)
INPUTS = Inputs(CONFIG)
SCHEDULING = Scheduling(CONFIG)
SESSION = Session(CONFIG, STATE_DIR)

if workflow.is_main_process:
    for notice in CONFIG.notices:
        print(f"notice: {notice}", file=sys.stderr)
    SESSION.recover()
    respect_status_interval()


wildcard_constraints:
    deployment=any_of(INPUTS.served),
    auxiliary=any_of(auxiliary.name for auxiliary in CONFIG.auxiliaries),
    task=any_of(INPUTS.tasks),
    comparison=any_of(INPUTS.comparisons),
    format=any_of(INPUTS.exports),
    environment=r"[a-z0-9_-]+-[0-9a-f]{12}",


def last_attempt(wildcards=None) -> int:
    """Return the number of the last attempt that --retries allows; only the main process knows it."""
    return (workflow.execution_settings.retries or 0) + 1


for name, amount in SCHEDULING.limits().items():
    if name not in workflow.global_resources:
        workflow.register_resource(name, amount)
