"""The configuration: composed from files, checked as a whole, resolved to frozen objects.

`load_config` makes a `Config` of files, and the rest of Snakeval reads that. Where it needs what no run has chosen, it
asks `reading/` for schemas and `tasks/registry.py` for harnesses. Nothing here imports a package that takes long to
load, because Snakemake parses the workflow again in every job.
"""

from snakeval.config.load import load_config
from snakeval.config.model import Config, Deployment, Execution, Task
from snakeval.config.secrets import resolve_env
from snakeval.endpoint import Protocol

__all__ = ["Config", "Deployment", "Execution", "Protocol", "Task", "load_config", "resolve_env"]
