"""What is asked of Slurm for a server: the `#SBATCH` lines of its job. Facts: sbatch(1) of 22.05 and later."""

import re
from pathlib import Path

from snakeval.config.model import Execution
from snakeval.system.hashing import sha256_hex


def job_name(results: Path, run: str, deployment: str) -> str:
    """Return the name of a server's job; it finds the job even when its id was never recorded.

    Two checkouts may have runs of the same name: the folder of the results tells them apart.
    """
    place = sha256_hex(str(results.absolute()), 8)
    return f"snakeval-{run}-{deployment}-{place}"


def sbatch_options(name: str, execution: Execution, log: Path) -> list[str]:
    """Return the options of the job, one for each `#SBATCH` line."""
    own = execution.options
    named = {
        "account": own["account"],
        "partition": own["partition"],
        "qos": own["qos"],
        "constraint": own["constraint"],
        "reservation": own["reservation"],
        "nodes": own["num_nodes"],
        "ntasks-per-node": own["ntasks_per_node"],
        "gres": own["gres"],
        "gpus-per-node": own["gpus_per_node"],
        "cpus-per-task": own["cpus_per_task"],
        "mem": f"{own['mem_gb']}G" if own["mem_gb"] else None,
        "time": own["walltime"],
        "comment": own["sbatch_comment"],
        # In a file name, sbatch replaces %j and the like.
        "output": str(log.absolute()).replace("%", "%%"),
    }
    options = [f"--job-name={name}", "--open-mode=append"]
    options.append("--requeue" if own["requeue"] else "--no-requeue")
    # The supervisor is the batch script itself: the warning before the time limit goes to it.
    options.append(f"--signal=B:USR1@{own['drain_s']}")
    options += [f"--{name}={value}" for name, value in named.items() if value is not None]
    for name, value in own["sbatch_extra_flags"].items():
        if value is True:
            options.append(f"--{name}")
        elif value not in (False, None):
            options.append(f"--{name}={value}")
    return options


def supervisor_options(execution: Execution) -> list[str]:
    """Return how the supervisor inside the job meets the time limit."""
    own = execution.options
    options = ["--drain-s", str(own["drain_s"])]
    if own["requeue"]:
        options.append("--requeue")
    if own["max_walltime"] is not None:
        options += ["--max-walltime-s", str(seconds(own["max_walltime"]))]
    return options


def seconds(walltime: str) -> int:
    """Return the seconds of "hours:minutes:seconds" or "days-hours:minutes:seconds"."""
    found = re.fullmatch(r"(?:(\d+)-)?(\d+):(\d{2}):(\d{2})", walltime)
    if found is None:
        raise ValueError(f"not a walltime: {walltime}")
    days, hours, minutes, rest = (int(part or 0) for part in found.groups())
    return ((days * 24 + hours) * 60 + minutes) * 60 + rest
