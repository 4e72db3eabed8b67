"""A file system that takes no more."""

import os
import subprocess

from chaos.run_folder import Call
from chaos.trial import Fault, Trial
from chaos.trial_processes import wait_until

SECONDS = (0.5, 2.0, 8.0, 300.0)


def _fill(trial: Trial, call: Call) -> bool:
    trial.evidence["seconds"] = seconds = trial.rng.choice(SECONDS)
    filler = trial.run.output / "filler"
    try:
        with filler.open("wb", buffering=0) as file:
            while True:
                file.write(b"x" * 4096)
    except OSError:
        pass
    wait_until(call.ended, seconds)
    filler.unlink()
    return True


def _make_read_only(trial: Trial, call: Call) -> bool:
    """As chmod 555 does for others than root: no file can be made, renamed or removed; open ones can be written."""
    trial.evidence["seconds"] = seconds = trial.rng.choice(SECONDS)
    folders = [str(trial.run.output), *(folder for folder, _, _ in os.walk(trial.run.output))]
    done = subprocess.run(["chattr", "+i", *folders], capture_output=True, check=False)
    wait_until(call.ended, seconds)
    subprocess.run(["chattr", "-i", *folders], capture_output=True, check=False)
    # A folder may be gone by now; the others are held all the same.
    return done.returncode == 0 or len(folders) > 1


FAULTS = (Fault("disk-full", _fill, mount=True), Fault("read-only", _make_read_only, mount=True))
